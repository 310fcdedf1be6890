//! Hosts on one segment, one of them with etcd, and agents on the others.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ignite_host::netns::Namespace;
use ignite_overlay::etcd::{Client, Settings};
use ignite_testkit::{Host, Lan, Running, place};

/// Reached on failure only.
const DEADLINE: Duration = Duration::from_secs(30);

/// Between two looks at least; and three times as long as the last one took, so that looking never has
/// more than a quarter of one processor.
const PAUSE: Duration = Duration::from_micros(500);

const ENDPOINT: &str = "http://192.0.2.1:2379";

/// The agent's name.
pub const PROGRAM: &str = "ignite-overlay";

/// Where an agent tells how it is.
const HEALTH: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8287);

/// A segment with etcd. What runs ends before its host.
pub struct Lab {
    _server: Running,
    namespace: Namespace,
    _host: Host,
    lan: Lan,
}

impl Lab {
    /// With an etcd that knows nothing.
    pub fn new() -> Result<Self> {
        let lan = Lan::new()?;
        let host = Host::bare("bench-etcd")?;
        lan.join(&host, "eth0", "192.0.2.1/24")?;
        let program = place::built("tools/etcd-server/usr/bin/etcd")?;
        let script = format!(
            "exec {} --name bench --data-dir /run/etcd --listen-client-urls {ENDPOINT} \
             --advertise-client-urls {ENDPOINT} --listen-peer-urls http://127.0.0.1:2380 \
             --initial-advertise-peer-urls http://127.0.0.1:2380 \
             --initial-cluster bench=http://127.0.0.1:2380 >/run/etcd.log 2>&1",
            program.display()
        );
        let server = host.sh(&script).start()?;
        let namespace = namespace(&host)?;
        let lab = Self {
            _server: server,
            namespace,
            _host: host,
            lan,
        };
        until("etcd to answer", || {
            let health = lab.etcd(async |client| client.get("/").await)?;
            Ok(health.ok().map(drop))
        })?;
        Ok(lab)
    }

    /// Does something with a client of etcd on etcd's host.
    pub fn etcd<T: Send>(&self, work: impl AsyncFnOnce(Client) -> T + Send) -> Result<T> {
        let done = self.namespace.run(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let client = Client::new(Settings::new([ENDPOINT]))?;
            Ok(runtime.block_on(work(client)))
        });
        done?
    }

    /// Writes the configuration of the network whose records begin with `prefix`.
    pub fn configure(&self, prefix: &str, config: &str) -> Result<()> {
        let key = format!("{prefix}/config");
        self.etcd(async |client| client.put(&key, config.as_bytes(), None).await)??;
        Ok(())
    }

    /// A host on the segment.
    pub fn node(&self, name: &str, address: &str) -> Result<Node> {
        let host = Host::bare(name)?;
        self.lan.join(&host, "eth0", address)?;
        let namespace = namespace(&host)?;
        Ok(Node { host, namespace })
    }
}

/// A host where agents run.
pub struct Node {
    pub host: Host,
    pub namespace: Namespace,
}

impl Node {
    /// Starts the agent of the network whose records begin with `prefix`. Not more than one of a host
    /// is asked how it is.
    pub fn agent(&self, prefix: &str, health: Health) -> Result<Running> {
        let program = place::built("libexec/ignite/ignite-overlay")?;
        let port = match health {
            Health::Told => HEALTH.port(),
            Health::Untold => 0,
        };
        let more = format!(
            "--ip-masq --status-file=/run{prefix}/status.json --healthz-ip={} --healthz-port={port}",
            HEALTH.ip()
        );
        self.start(&program, prefix, &more)
    }

    /// Starts a program that takes the flags of `flanneld`, and `more`.
    pub fn start(&self, program: &Path, prefix: &str, more: &str) -> Result<Running> {
        let script = format!(
            "mkdir -p /run{prefix}; exec {} --etcd-endpoints={ENDPOINT} --etcd-prefix={prefix} \
             --iface=eth0 --subnet-file=/run{prefix}/subnet.env {more} 2>>/run{prefix}/log",
            program.display()
        );
        self.host.sh(&script).start()
    }

    /// Kills an agent, and waits until nothing of it is left to meet its successor.
    pub fn kill(&self, agent: Running, program: &str, prefix: &str) -> Result<()> {
        drop(agent);
        until("a killed agent to be gone", || {
            Ok(self.pid(program, prefix).is_err().then_some(()))
        })
    }

    /// Adds what the agent said to an error.
    pub fn explain<T>(&self, prefix: &str, result: Result<T>) -> Result<T> {
        result.with_context(|| {
            let log = self.host.sh(&format!("tail -n 20 /run{prefix}/log")).ok();
            format!("{} said:\n{}", self.host.name(), log.unwrap_or_default())
        })
    }

    /// The one process of this program, by its number on the machine.
    pub fn pid(&self, program: &str, prefix: &str) -> Result<i32> {
        let flag = format!("--etcd-prefix={prefix}");
        let processes = self.host.processes()?;
        let found = processes
            .iter()
            .find(|process| process.name() == program && process.argv.contains(&flag));
        let found = found.with_context(|| format!("no {program} runs"))?;
        Ok(found.pid.as_raw_nonzero().get())
    }
}

/// Whether an agent is asked how it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    Told,
    Untold,
}

/// Whether the agent in the calling thread's namespace says that it is ready.
pub fn is_ready() -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(HEALTH)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    // Before it listens it is not ready either.
    ask().is_ok_and(|answer| answer.split(' ').nth(1) == Some("200"))
}

/// Looks until it is so: what is measured by it is late by a pause and a look at most.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let begun = Instant::now();
    loop {
        let at = Instant::now();
        if let Some(found) = look()? {
            return Ok(found);
        }
        ensure!(begun.elapsed() < DEADLINE, "waited {DEADLINE:?} for {what}");
        thread::sleep(PAUSE.max(at.elapsed() * 3));
    }
}

pub fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn namespace(host: &Host) -> Result<Namespace> {
    let path = format!("/proc/{}/ns/net", host.pid());
    Ok(Namespace::open(Path::new(&path))?)
}
