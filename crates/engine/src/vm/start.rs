//! `start`: a VM's network, its supervisor, and the wait for its guest.
//!
//! ```text
//!  lock VM -> take liveness -> repair -> ports -> sandbox -> attach -> spawn -> Started -> Ready
//! ```
//! What was made is recorded before it is made; when a step fails, or the caller calls it off,
//! everything is released again.

use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use ignite_api::{Name, NetworkPlugin, PortMapping, Uid};
use ignite_host::fs::Lock;
use ignite_host::netns::Namespace;
use ignite_host::process::{Child, Spec, Stdio};
use ignite_host::step::{self, Step};
use ignite_store::{Liveness, NetworkRecord, VmLock, VmRecord, VmSummary};
use ignite_wire::supervisor::{Event, Plan};

use super::attach::Console;
use super::children;
use super::events::Events;
use super::files;
use super::plan::{self as supervision, Parts};
use super::vmm::Chosen;
use super::volumes::{Joined, Machine};
use crate::config::program;
use crate::network::attached::Attached;
use crate::network::plugin::{self, Network, Plugin};
use crate::network::{self, dns, hosts, ports, several};
use crate::timings::Timings;
use crate::{Cancel, Engine, Error, Report, StartOptions};

/// The file in a VM's runtime directory that says what its last start was.
pub(crate) const PLAN: &str = "plan.json";

/// Numbers under which the supervisor finds what it inherits.
const LIVE_FD: i32 = 10;
const NOTIFY_FD: i32 = 11;
const HOST_NETNS_FD: i32 = 12;

/// Beyond the boot time, for a supervisor that says nothing at all.
const SUPERVISOR_SLACK: Duration = Duration::from_secs(30);

/// A VM that was started.
#[derive(Debug)]
pub struct Started {
    /// Its uid.
    pub uid: Uid,
    /// Its name.
    pub name: Name,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The networks it is on.
    pub networks: Vec<String>,
    /// Where the time went.
    pub timings: Timings,
    /// The console, for who asked for it.
    pub console: Option<Console>,
}

impl Started {
    /// One line for people.
    pub fn describe(&self) -> String {
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        let at = match addresses.as_slice() {
            [] => String::new(),
            some => format!(" at {}", some.join(", ")),
        };
        format!(
            "started VM {} ({}){at} on {}",
            self.name,
            self.uid,
            self.networks.join(", ")
        )
    }
}

impl Engine {
    /// Starts the VM that `text` means.
    pub fn start(
        &self,
        text: &str,
        options: &StartOptions,
        report: &dyn Report,
        cancel: &Cancel,
    ) -> Result<Started, Error> {
        let (lock, live) = self.lock_idle(self.vms.resolve(text)?)?;
        self.start_locked(&lock, live, options, report, cancel, Timings::new())
    }

    pub(super) fn start_locked(
        &self,
        lock: &VmLock,
        live: Liveness,
        options: &StartOptions,
        report: &dyn Report,
        cancel: &Cancel,
        timings: Timings,
    ) -> Result<Started, Error> {
        let mut record = lock.record()?;
        if let Some(plugin) = options
            .network_plugin
            .filter(|plugin| *plugin != record.network_plugin)
        {
            record.network_plugin = plugin;
            lock.write_record(&record)?;
        }
        if self.take_vmm(&mut record, options)? {
            lock.write_record(&record)?;
        }
        self.repair_for(lock, &live, record.network_plugin, report)?;
        if record.settle_ports() {
            lock.write_record(&record)?;
        }
        let user = self.settle_user(lock, &mut record)?;
        self.note("start", record.uid, &record.name, &[]);
        step::reached(Step::StartIdle);
        let mut start = Start {
            engine: self,
            lock,
            record,
            user,
            live,
            report,
            cancel,
            timings,
        };
        let started = start.run(options);
        if let Err(error) = &started {
            let reason = [("error", error.to_string())];
            let reason = reason.each_ref().map(|(key, text)| (*key, text.as_str()));
            self.note("start-failed", lock.uid(), &start.record.name, &reason);
            if let Err(error) = self.record_failed_start(lock, &start.live, &error.to_string()) {
                tracing::warn!(uid = %lock.uid(), %error, "the record of the failed start stays");
            }
            step::reached(Step::StartFailed);
            // The failure is what the caller must hear of; what is left is recorded.
            for error in self.release_locked(lock).err().into_iter().flatten() {
                tracing::warn!(uid = %lock.uid(), %error, "not everything was released");
                report.warn(&format!("not everything was released: {error}"));
            }
        }
        started
    }
}

impl Engine {
    /// Repairs the VM. Where it is to have another plugin now, a container that Docker alone could
    /// remove, and Docker is away, is in nobody's way.
    fn repair_for(
        &self,
        lock: &VmLock,
        live: &Liveness,
        plugin: NetworkPlugin,
        report: &dyn Report,
    ) -> Result<(), Error> {
        match self.repair(lock, live) {
            Err(error) if error.is_only_a_container() && plugin != NetworkPlugin::DockerBridge => {
                report.warn(&format!("{error}; it is left to: ignite network gc"));
                self.forsake(lock)
            }
            repaired => repaired,
        }
    }

    /// Finds a port that is taken before anything is made, and records that the VM is about to be
    /// attached: from then on its ports are taken for every other start.
    pub(super) fn reserve(
        &self,
        lock: &VmLock,
        record: &VmRecord,
        report: &dyn Report,
    ) -> Result<(), Error> {
        plugin::check(record.network_plugin, &record.interfaces)?;
        // Until the intent is recorded.
        let _ports = self.free_ports(record, &[], report)?;
        let network = NetworkRecord {
            plugin: record.network_plugin,
            sandbox: Some(self.config.paths.sandbox(&record.container_id)),
            ..lock.network()?
        };
        Ok(lock.write_network(&network)?)
    }

    /// Finds out that the VM's ports are free; nobody takes them as long as the lock is held. Who
    /// wants no port needs no lock, and waits for nobody who does. What the VM publishes already,
    /// `own`, is in its own way: it is not tried on the host.
    pub(crate) fn free_ports(
        &self,
        record: &VmRecord,
        own: &[PortMapping],
        report: &dyn Report,
    ) -> Result<Option<Lock>, Error> {
        let wanted = &record.spec.network.ports;
        if wanted.is_empty() {
            return Ok(None);
        }
        let lock = self.lock_ports(record, report)?;
        for other in self.vms.summary()?.vms {
            if other.uid != record.uid && self.has_ports(&other)? {
                ports::check_other(wanted, &other.name, &other.ports)
                    .map_err(network::Error::from)?;
            }
        }
        let mut others = wanted.clone();
        others.retain(|port| !own.iter().any(|had| had.overlaps(port)));
        ports::check_host(&others).map_err(network::Error::from)?;
        Ok(Some(lock))
    }

    /// The lock under which ports are compared and taken, with no dead VM in the way. Repairs run
    /// plugins and wait for networks, so they are made while it is not held; each VM is repaired
    /// once, so this ends.
    fn lock_ports(&self, record: &VmRecord, report: &dyn Report) -> Result<Lock, Error> {
        let path = self.config.paths.run.join("ports.lock");
        let mut tried = Vec::new();
        let mut dead = self.dead_in_the_way(record, &tried)?;
        loop {
            for vm in dead {
                tried.push(vm.uid);
                if let Err(error) = self.repair_one(vm.uid) {
                    report.warn(&format!(
                        "VM {} died and cannot be repaired: {error}",
                        vm.name
                    ));
                }
            }
            let lock = Lock::exclusive(&path).map_err(Error::File)?;
            dead = self.dead_in_the_way(record, &tried)?;
            if dead.is_empty() {
                return Ok(lock);
            }
        }
    }

    /// VMs that died without release and whose rules would shadow ours, but for those `tried`.
    fn dead_in_the_way(&self, record: &VmRecord, tried: &[Uid]) -> Result<Vec<VmSummary>, Error> {
        let wanted = &record.spec.network.ports;
        let mut dead = self.dead_vms(Some(record.uid))?;
        dead.retain(|vm| {
            !tried.contains(&vm.uid) && ports::check_other(wanted, &vm.name, &vm.ports).is_err()
        });
        Ok(dead)
    }

    /// Whether another VM's ports are taken: it runs, or is being attached in this moment.
    fn has_ports(&self, other: &VmSummary) -> Result<bool, Error> {
        if other.state.is_live() {
            return Ok(true);
        }
        let at_work = Liveness::is_held(&self.config.paths, other.uid)?;
        Ok(at_work && !self.vms.network(other.uid)?.is_released())
    }
}

struct Start<'a> {
    engine: &'a Engine,
    lock: &'a VmLock,
    record: VmRecord,
    user: u32,
    live: Liveness,
    report: &'a dyn Report,
    cancel: &'a Cancel,
    timings: Timings,
}

/// A supervisor that was started, and what it says.
struct Supervisor {
    child: Child,
    events: Events,
}

impl Start<'_> {
    fn run(&mut self, options: &StartOptions) -> Result<Started, Error> {
        let parts = self.programs()?;
        self.note_version(&parts)?;
        self.engine.reserve(self.lock, &self.record, self.report)?;
        step::reached(Step::StartReserved);
        self.timings.end("preparation");
        self.cancel.check()?;
        let made = self.attach()?;
        self.cancel.check()?;
        let plan = self.plan(options, &made, parts)?;
        let supervisor = self.spawn(&plan, &made.namespace)?;
        let onlooker = options.console.as_ref();
        let limit = self.boot_time(options) + SUPERVISOR_SLACK;
        let waited = self.wait(&supervisor, limit, onlooker.map(|_| &*plan.0.run_dir));
        if waited.is_err() {
            end(&supervisor.child);
        }
        let console = waited?;
        children::keep(supervisor.child);
        Ok(Started {
            uid: self.record.uid,
            name: self.record.name.clone(),
            addresses: made
                .attached
                .iter()
                .flat_map(|a| a.addresses.iter().map(ipnet::IpNet::addr))
                .collect(),
            networks: networks(&made.attached),
            timings: self.timings.clone(),
            console,
        })
    }

    /// The programs and files a start needs, looked for before anything is made.
    fn programs(&self) -> Result<Programs, Error> {
        let vmm = self.engine.vmm_of(&self.record, self.report)?;
        let (kernel, initramfs) = self.engine.bootable(self.record.kernel.uid)?;
        let modules = kernel.join(ignite_image::kernel::MODULES);
        let modules = modules.is_file().then_some(modules);
        let copy_files = files::pending(&self.lock.dir()).map(|(path, _)| path);
        let machine = Machine {
            vmm: vmm.found.vmm,
            disks: 1 + modules.iter().chain(&copy_files).count(),
        };
        let volumes = self
            .engine
            .join_volumes(&self.record, machine, self.report)?;
        Ok(Programs {
            vmm,
            copy_files,
            volumes,
            supervisor: program("ignite-spawn", "IGNITE_SPAWN").ok_or(Error::NoProgram {
                name: "ignite-spawn",
            })?,
            modules,
            kernel,
            initramfs,
        })
    }

    /// What runs the VM is for `inspect` to tell; it is written where it is another than before.
    fn note_version(&mut self, programs: &Programs) -> Result<(), Error> {
        let version = programs.vmm.found.version;
        let version = version.map(|version| version.to_string());
        if self.record.vmm_version == version {
            return Ok(());
        }
        self.record.vmm_version = version;
        Ok(self.lock.write_record(&self.record)?)
    }

    /// The time a boot may take, and what it takes to copy files into the root on the way.
    fn boot_time(&self, options: &StartOptions) -> Duration {
        let pending = files::pending(&self.lock.dir());
        options.boot_timeout + pending.map_or(Duration::ZERO, |(_, bytes)| files::time_for(bytes))
    }

    fn attach(&mut self) -> Result<Network, Error> {
        let path = self.engine.config.paths.sandbox(&self.record.container_id);
        let config = &self.engine.config;
        let plugin = Plugin::new(self.record.network_plugin, config, self.lock)?;
        let request = plugin::Request {
            lock: self.lock,
            record: &self.record,
            sandbox: &path,
            report: self.report,
            cancel: self.cancel,
        };
        let made = plugin.attach(&request, &mut self.timings)?;
        self.timings.end_with_plugins("attachment", &made.plugins);
        let VmRecord { uid, name, .. } = &self.record;
        self.engine.note_attached(*uid, name, &made.attached);
        Ok(made)
    }

    fn plan(
        &self,
        options: &StartOptions,
        made: &Network,
        programs: Programs,
    ) -> Result<(Plan, PathBuf), Error> {
        let said = several::names(&made.attached);
        let (dns, origin) = dns::choose(
            &super::create::requested_dns(&self.record),
            &said,
            dns::of_host,
        );
        if origin == dns::Origin::Nowhere {
            self.report.warn(
                "no DNS server: neither the network nor this host's resolv.conf names one a VM can reach; \
                 give one with --dns",
            );
        }
        let plan = supervision::plan(Parts {
            paths: &self.engine.config.paths,
            record: &self.record,
            user: self.user,
            vmm: (programs.vmm.found.vmm, programs.vmm.found.program),
            jailer: programs.vmm.jailer,
            kernel: programs.kernel,
            initramfs: programs.initramfs,
            modules: programs.modules,
            volumes: programs.volumes,
            copy_files: programs.copy_files,
            image: self
                .engine
                .images
                .dir(self.record.image.uid)
                .join(crate::image::FILE),
            attached: &made.attached,
            holder: made.holder.clone(),
            dns,
            hosts: hosts::lines(&self.record.spec.extra_hosts, &made.attached)?,
            ssh_keys: super::ssh::keys_of(
                self.record.spec.ssh.as_ref(),
                &self.lock.dir(),
                self.record.uid,
            )?,
            terminal: options.console.as_ref().and_then(|it| it.terminal.clone()),
            boot_timeout: self.boot_time(options),
            release: self.engine.release_command(self.record.uid)?,
            now: SystemTime::now(),
        });
        Ok((plan, programs.supervisor))
    }

    fn spawn(
        &mut self,
        plan: &(Plan, PathBuf),
        namespace: &Namespace,
    ) -> Result<Supervisor, Error> {
        let (plan, program) = plan;
        let path = plan.run_dir.join(PLAN);
        // A path in it may be no text.
        let text = serde_json::to_vec(plan).map_err(|error| Error::spawn(program)(error.into()))?;
        ignite_host::fs::write_atomic(&path, &text, 0o600).map_err(Error::File)?;
        step::reached(Step::StartPlanned);
        let (read, write) = pipe()?;
        let host =
            std::fs::File::open("/proc/thread-self/ns/net").map_err(Error::spawn(program))?;
        let live = self.live.to_fd().map_err(Error::spawn(program))?;
        let log = log(&plan.vm_dir.join("spawn.log")).map_err(Error::spawn(program))?;
        let spec = Spec::new(program)
            .arg(&path)
            .args(["--live-fd", &LIVE_FD.to_string()])
            .args(["--notify-fd", &NOTIFY_FD.to_string()])
            .args(["--host-netns-fd", &HOST_NETNS_FD.to_string()])
            .stdin(Stdio::Null)
            .stdout(Stdio::Null)
            .stderr(Stdio::Fd(log))
            .netns(namespace)
            .session()
            .pass_fd(live, LIVE_FD)
            .pass_fd(write, NOTIFY_FD)
            .pass_fd(host.into(), HOST_NETNS_FD);
        let child = ignite_host::process::spawn(spec)?;
        step::reached(Step::StartSpawned);
        self.timings.end("spawn");
        Ok(Supervisor {
            child,
            events: Events::new(read),
        })
    }

    /// Waits for the agent's word, through the supervisor; with the console open from before that, where
    /// the runtime directory says which.
    fn wait(
        &mut self,
        supervisor: &Supervisor,
        limit: Duration,
        attach_in: Option<&Path>,
    ) -> Result<Option<Console>, Error> {
        let deadline = Instant::now() + limit;
        let mut console = None;
        let mut events = supervisor.events.iter(self.cancel, deadline);
        loop {
            match events.next()? {
                Some(Event::Started { .. }) => {
                    console = attach_in.map(Console::open).transpose()?;
                    self.timings.end("supervisor");
                }
                Some(Event::Ready) => {
                    step::reached(Step::StartReady);
                    self.timings.end("boot");
                    self.cancel.check()?;
                    return Ok(console);
                }
                Some(Event::Failed {
                    message,
                    hint,
                    console,
                }) => {
                    return Err(Error::Boot {
                        message,
                        hint,
                        console,
                    });
                }
                None => {
                    return Err(Error::SupervisorDied {
                        log: self.lock.dir().join("spawn.log"),
                    });
                }
            }
        }
    }
}

/// The networks' names, each once.
fn networks(attached: &[Attached]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for one in attached {
        if !names.contains(&one.network) {
            names.push(one.network.clone());
        }
    }
    names
}

struct Programs {
    vmm: Chosen,
    supervisor: PathBuf,
    kernel: PathBuf,
    initramfs: PathBuf,
    modules: Option<PathBuf>,
    copy_files: Option<PathBuf>,
    volumes: Joined,
}

/// Ends a supervisor; its VMM dies with it.
fn end(child: &Child) {
    // One that is gone already needs no ending.
    let _ = child.signal(9);
    if let Err(error) = child.wait_timeout(Duration::from_secs(10)) {
        tracing::warn!(%error, "the supervisor does not end");
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd), Error> {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|errno| Error::spawn(Path::new("ignite-spawn"))(errno.into()))
}

fn log(path: &Path) -> std::io::Result<OwnedFd> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = std::fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.as_fd().try_clone_to_owned()
}
