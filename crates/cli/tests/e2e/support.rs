//! VMs as the tests handle them.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, Invocation, Lan, boot, place, wait_until};
use serde_json::Value;

/// Longer than a boot takes on a busy machine without virtualisation.
pub const BOOT: Duration = Duration::from_secs(180);

/// Longer than anything takes that happens at once.
pub const SOON: Duration = Duration::from_secs(30);

/// Memory that busybox and a distribution's kernel need.
pub const SMALL: &str = "128MB";

/// A VM of a host. It ends with its host.
pub struct Vm<'h> {
    pub host: &'h Host,
    pub uid: String,
}

impl<'h> Vm<'h> {
    /// A VM of the image whose service answers on TCP and UDP, up and serving.
    pub fn run(host: &'h Host, options: &[&str]) -> Result<Self> {
        let vm = Self::run_image(host, options, &place::image("busy")?, &[])?;
        vm.serving()?;
        Ok(vm)
    }

    /// A VM of the same image that runs a shell script instead.
    pub fn run_script(host: &'h Host, options: &[&str], script: &str) -> Result<Self> {
        Self::run_image(
            host,
            options,
            &place::image("busy")?,
            &["/bin/sh", "-c", script],
        )
    }

    /// A VM of any image and command.
    pub fn run_image(
        host: &'h Host,
        options: &[&str],
        image: &str,
        command: &[&str],
    ) -> Result<Self> {
        let _slot = boot::slot()?;
        let output = Self::invocation(host, options, image, command)
            .deadline(BOOT)
            .output()?;
        let uid = output.ok()?;
        ensure!(uid.len() == 16, "run printed {uid:?}, not one uid");
        Ok(Self { host, uid })
    }

    /// The command line of `run`, not yet run.
    pub fn invocation(host: &Host, options: &[&str], image: &str, command: &[&str]) -> Invocation {
        let mut words = vec!["run"];
        if !options.contains(&"--memory") {
            words.extend(["--memory", SMALL]);
        }
        words.extend(options);
        words.push(image);
        if !command.is_empty() {
            words.push("--");
            words.extend(command);
        }
        host.ignite(words)
    }

    /// Waits for the service in the VM.
    pub fn serving(&self) -> Result<()> {
        self.wait_exec("its service", &["testkit-helper", "get", "127.0.0.1:80"])
            .map(drop)
    }

    /// Runs a command in the VM until it succeeds.
    pub fn wait_exec(&self, what: &str, command: &[&str]) -> Result<String> {
        wait_until(what, SOON, || self.exec(command).ok())
    }

    /// A command in the VM.
    pub fn exec(&self, command: &[&str]) -> Invocation {
        let words = ["exec", self.uid.as_str(), "--"];
        self.host.ignite(words.iter().chain(command).copied())
    }

    /// What the VM calls itself: its answers begin with it.
    pub fn hostname(&self) -> Result<String> {
        self.exec(&["hostname"]).ok()
    }

    /// The VM as an object.
    pub fn inspect(&self) -> Result<Value> {
        let text = self.host.ignite(["inspect", "vm", &self.uid]).ok()?;
        serde_json::from_str(&text).with_context(|| format!("inspect printed {text}"))
    }

    /// Its first address.
    pub fn address(&self) -> Result<String> {
        let vm = self.inspect()?;
        let address = &vm["status"]["network"]["ipAddresses"][0];
        Ok(address
            .as_str()
            .with_context(|| format!("no address in {vm:#}"))?
            .to_owned())
    }

    /// A field of its status, as text.
    pub fn status(&self, field: &str) -> Result<String> {
        let value = self.inspect()?["status"][field].clone();
        Ok(value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned))
    }

    /// Waits until it has stopped by itself; tells how it ended.
    pub fn ended(&self) -> Result<String> {
        wait_until("the VM to stop", Duration::from_secs(60), || {
            let state = self.status("state")?;
            ensure!(state == "stopped", "it is {state}");
            Ok(())
        })?;
        self.status("end")
    }

    /// `stop`, `start`, `kill` or `rm` of it.
    pub fn verb(&self, verb: &str) -> Result<()> {
        let _slot = (verb == "start").then(boot::slot).transpose()?;
        self.host
            .ignite([verb, &self.uid])
            .deadline(BOOT)
            .ok()
            .map(drop)
    }
}

/// A host `alpha` (192.0.2.1) and a host `world` (192.0.2.2) on one segment.
pub fn two_hosts() -> Result<(Lan, Host, Host)> {
    let lan = Lan::new()?;
    let (alpha, world) = (Host::new("alpha")?, Host::bare("world")?);
    lan.join(&alpha, "eth0", "192.0.2.1/24")?;
    lan.join(&world, "eth0", "192.0.2.2/24")?;
    Ok((lan, alpha, world))
}

/// Fails, naming it, if anything of a VM is still on the host.
pub fn nothing_left(host: &Host) -> Result<()> {
    nothing_left_but(host, &[])
}

/// The same where these interfaces of the host are not a VM's.
pub fn nothing_left_but(host: &Host, interfaces: &[&str]) -> Result<()> {
    wait_until(
        "every trace of the VMs to go",
        Duration::from_secs(20),
        || {
            let traces = host.sh(TRACES).ok()?;
            let left: Vec<&str> = traces
                .lines()
                .filter(|line| !interfaces.contains(line))
                .collect();
            ensure!(left.is_empty(), "left behind:\n{}", left.join("\n"));
            Ok(())
        },
    )
}

/// Prints whatever a VM could have left: records, sandboxes, processes, links,
/// addresses, rules, control groups, files of a half-done import.
const TRACES: &str = r"
cd /var/lib/ignite 2>/dev/null && find vm staging -mindepth 1 -maxdepth 1 ! -path staging/lock ! -path vm/index 2>/dev/null || true
cd / && find run/ignite/vm run/netns var/lib/cni/results -mindepth 1 -maxdepth 1 2>/dev/null || true
find sys/fs/cgroup -mindepth 2 -type d -path '*/ignite/*' || true
find var/lib/cni/networks -name '[0-9]*.*' 2>/dev/null || true
ps -e -o pid,args | grep -E 'qemu-system|firecracker --|virtiofsd -f|ignite-spawn|ignite internal' | grep -v grep || true
ls sys/class/net | grep -Ev '^(lo|eth[0-9]+|ignite0)$' || true
for save in iptables-save ip6tables-save; do $save | grep -E '(ignite|x)-[0-9a-z]{16}' || true; done
nft list ruleset | grep -E 'ignite-[0-9a-z]{16}' || true
";
