//! VMs on Docker's default bridge, with a real Docker Engine on a host of its
//! own: nobody installed a CNI network there, and Docker is left as it was.

pub(crate) mod crashes;
mod daemon;
mod engine;
mod life;
mod many;
mod options;
mod ports;
mod races;
mod refusals;
mod switch;

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Docker, Host, place, wait_until};
use serde_json::Value;

use crate::support::{SOON, Vm, nothing_left_but};

/// Gives a VM to Docker.
const PLUGIN: &str = "--network-plugin=docker-bridge";

/// A host with its engine.
struct Stage<'h> {
    host: &'h Host,
    docker: Docker<'h>,
}

impl<'h> Stage<'h> {
    fn new(host: &'h Host) -> Result<Self> {
        let docker = Docker::start(host)?;
        Ok(Self { host, docker })
    }

    /// A VM with a service, on Docker's bridge.
    fn run(&self, options: &[&str]) -> Result<Vm<'h>> {
        Vm::run(self.host, &[&[PLUGIN], options].concat())
    }

    /// What Docker's client prints.
    fn ask(&self, words: &[&str]) -> Result<String> {
        self.docker.docker(words)?.ok()
    }

    /// The name of the VM's container.
    fn container(&self, vm: &Vm<'_>) -> Result<String> {
        let filter = format!("label=ignite.uid={}", vm.uid);
        self.ask(&["ps", "-a", "--filter", &filter, "--format", "{{.Names}}"])
    }

    /// A container that is no VM's, whose service answers on port 8000; its
    /// address.
    fn peer(&self, name: &str) -> Result<String> {
        let helper = place::helper()?;
        self.host
            .sh(&format!(
                "mkdir -p /run/image/bin; cp /bin/busybox {} /run/image/bin
                 for name in ping hostname; do ln -sf busybox /run/image/bin/$name; done
                 tar -C /run/image -cf /run/image.tar .",
                helper.display()
            ))
            .ok()?;
        self.ask(&["import", "/run/image.tar", "busy"])?;
        let serve = ["/bin/testkit-helper", "serve", "8000"];
        self.ask(&[&["run", "-d", "--name", name, "busy"], &serve[..]].concat())?;
        let format = "{{.NetworkSettings.IPAddress}}";
        self.ask(&["inspect", "--format", format, name])
    }

    /// Fails, naming it, if anything of a VM is still on the host or in Docker.
    fn nothing_left(&self) -> Result<()> {
        self.nothing_left_but_records()?;
        nothing_left_but(self.host, &["docker0"])
    }

    /// The same where VMs are there, and do not run.
    fn nothing_left_but_records(&self) -> Result<()> {
        wait_until("Docker to be as it was", SOON, || {
            let containers = self.ask(&["ps", "-aq", "--filter", "label=ignite.uid"])?;
            let images = self.ask(&["images", "-q", "ignite-holder"])?;
            let networks = self.ask(&["network", "ls", "--format", "{{.Name}}"])?;
            let volumes = self.ask(&["volume", "ls", "-q"])?;
            ensure!(
                (containers.as_str(), images.as_str(), volumes.as_str()) == ("", "", ""),
                "containers {containers:?}, images {images:?}, volumes {volumes:?}"
            );
            let mut networks: Vec<&str> = networks.lines().collect();
            networks.sort_unstable();
            ensure!(networks == ["bridge", "host", "none"], "{networks:?}");
            let names = self.host.sh("ls /run/netns 2>/dev/null || true").ok()?;
            ensure!(names.is_empty(), "namespaces {names:?}");
            Ok(())
        })
    }
}

/// What `ps` prints of a VM, as an object.
fn line(host: &Host, uid: &str) -> Result<Value> {
    let text = host.ignite(["ps", "-a", "-o", "json"]).ok()?;
    let all: Value = serde_json::from_str(&text)?;
    let found = all.as_array().context("a list")?.iter();
    found
        .into_iter()
        .find(|vm| vm["uid"] == uid)
        .cloned()
        .with_context(|| format!("no {uid} in {text}"))
}
