//! One TCP stream between two hosts: without a tunnel, through the kernel's `vxlan`, through the agent's
//! `udp`, and through that of `flanneld` where one is installed.
//!
//! All tunnels are there at once, as networks of their own, and take turns. Sender and receiver are
//! threads of this program; without a tunnel they have to be much faster, or they would be what is
//! measured.

use std::env;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use ignite_host::link::Netlink;
use ignite_testkit::Running;

use super::calls::Calls;
use super::lab::{Health, Lab, Node, PROGRAM, milliseconds, until};
use super::{Case, Unit, case};

const MEBIBYTES: usize = 64;
const RUNS: usize = 5;

/// Streams whose system calls are counted, none of which is timed.
const CALL_RUNS: usize = 3;

/// Without a tunnel it takes at most this part of the time through `udp`.
const GENERATOR: f64 = 0.5;

/// Reached on failure only.
const PATIENCE: Duration = Duration::from_secs(20);

const DIRECT: &str = "no tunnel";

/// A network of the two hosts.
struct Tunnel {
    name: &'static str,
    prefix: &'static str,
    config: &'static str,
    device: &'static str,
    program: Program,
}

enum Program {
    Ignite,
    Flannel(PathBuf),
}

const VXLAN: Tunnel = Tunnel {
    name: "vxlan of the kernel",
    prefix: "/vxlan/network",
    config: r#"{"Network": "10.5.0.0/16", "Backend": {"Type": "vxlan"}}"#,
    device: "flannel.1",
    program: Program::Ignite,
};

const UDP: Tunnel = Tunnel {
    name: "udp",
    prefix: "/udp/network",
    config: r#"{"Network": "10.6.0.0/16", "Backend": {"Type": "udp", "Port": 8285}}"#,
    device: "flannel0",
    program: Program::Ignite,
};

/// Its device is the second one of its kind.
fn flannel() -> Option<Tunnel> {
    let directories = env::var_os("PATH")?;
    let programs = env::split_paths(&directories).map(|directory| directory.join("flanneld"));
    Some(Tunnel {
        name: "udp of flanneld",
        prefix: "/flannel/network",
        config: r#"{"Network": "10.7.0.0/16", "Backend": {"Type": "udp", "Port": 8286}}"#,
        device: "flannel1",
        program: Program::Flannel(programs.into_iter().find(|program| program.exists())?),
    })
}

/// The streams, and what `udp` costs the agents.
pub fn run() -> Result<Vec<Case>> {
    let lab = Lab::new()?;
    let near = lab.node("bench-near", "192.0.2.11/24")?;
    let far = lab.node("bench-far", "192.0.2.12/24")?;
    let mut ways = vec![Way::direct(&far)?];
    for tunnel in [Some(VXLAN), Some(UDP), flannel()].into_iter().flatten() {
        ways.push(Way::through(tunnel, &lab, &near, &far)?);
    }
    for round in 0..=RUNS {
        for way in &mut ways {
            let took = stream(&near, &far, way.address);
            let took = took.with_context(|| format!("a stream by {}", way.name))?;
            // The first one warms caches up.
            if round > 0 {
                way.times.push(took);
            }
        }
    }
    let mut cases = compared(&ways)?;
    for way in &ways {
        if let Some((program, prefix)) = way.counted {
            cases.push(calls(way, prefix, program, &near, &far)?);
        }
    }
    Ok(cases)
}

/// The tunnels in turn: `udp` beside all others.
fn compared(ways: &[Way]) -> Result<Vec<Case>> {
    let named = |name: &str| {
        let way = ways.iter().find(|way| way.name == name);
        way.map(|way| {
            let name = format!("a stream of {MEBIBYTES} MiB, {name}");
            case(&name, Unit::Milliseconds, &way.times)
        })
    };
    let direct = named(DIRECT).context("it is measured")?;
    let vxlan = named(VXLAN.name).context("it is measured")?;
    let udp = named(UDP.name).context("it is measured")?;
    let mut cases = vec![
        direct.against(&udp, GENERATOR),
        vxlan.clone(),
        udp.clone().against(&vxlan, None),
    ];
    if let Some(flannel) = flannel().and_then(|tunnel| named(tunnel.name)) {
        cases.push(flannel.against(&udp, None));
    }
    Ok(cases)
}

/// A way from one host to the other, and the times of streams by it.
struct Way {
    name: &'static str,
    /// The other host's.
    address: IpAddr,
    times: Vec<f64>,
    /// Whose system calls are counted, if any: program and network.
    counted: Option<(&'static str, &'static str)>,
    _agents: Vec<Running>,
}

impl Way {
    fn direct(far: &Node) -> Result<Self> {
        Ok(Self {
            name: DIRECT,
            address: address(far, "eth0")?.context("it was given one")?,
            times: Vec::new(),
            counted: None,
            _agents: Vec::new(),
        })
    }

    /// Starts both agents, one after the other: Flannel's miss each other if they come at once.
    fn through(tunnel: Tunnel, lab: &Lab, near: &Node, far: &Node) -> Result<Self> {
        lab.configure(tunnel.prefix, tunnel.config)?;
        let mut agents = Vec::new();
        let mut last = None;
        for node in [near, far] {
            agents.push(match &tunnel.program {
                Program::Ignite => node.agent(tunnel.prefix, Health::Untold)?,
                Program::Flannel(program) => node.start(program, tunnel.prefix, "")?,
            });
            let found = until("an address of the tunnel", || address(node, tunnel.device));
            last = Some(node.explain(tunnel.prefix, found)?);
        }
        let counted = match tunnel.program {
            // The kernel does all of it.
            Program::Ignite if tunnel.prefix == VXLAN.prefix => None,
            Program::Ignite => Some(PROGRAM),
            Program::Flannel(_) => Some("flanneld"),
        };
        Ok(Self {
            name: tunnel.name,
            address: last.context("two nodes")?,
            times: Vec::new(),
            counted: counted.map(|program| (program, tunnel.prefix)),
            _agents: agents,
        })
    }
}

/// The first IPv4 address of a device, if there is the device and it has one.
fn address(node: &Node, device: &str) -> Result<Option<IpAddr>> {
    let netlink = Netlink::open_in(&node.namespace)?;
    let Some(link) = netlink.link(device)? else {
        return Ok(None);
    };
    let addresses = netlink.addresses(link.index)?.into_iter();
    Ok(addresses.map(|net| net.addr()).find(IpAddr::is_ipv4))
}

/// Milliseconds until the other end has all of it.
fn stream(near: &Node, far: &Node, address: IpAddr) -> Result<f64> {
    let listener = (far.namespace).run(|| TcpListener::bind(SocketAddr::new(address, 0)))??;
    let to = listener.local_addr()?;
    // The kernel completes it, nobody has to accept yet; sockets stay where they were made.
    let mut sender = until("a connection", || {
        let connect = || TcpStream::connect_timeout(&to, Duration::from_secs(1));
        Ok(near.namespace.run(connect)?.ok())
    })?;
    let (mut receiver, _) = listener.accept()?;
    for end in [&sender, &receiver] {
        end.set_read_timeout(Some(PATIENCE))?;
        end.set_write_timeout(Some(PATIENCE))?;
    }
    let receiver = thread::spawn(move || take(&mut receiver));
    let begun = Instant::now();
    give(&mut sender)?;
    receiver
        .join()
        .map_err(|_| anyhow!("the receiver panicked"))??;
    Ok(milliseconds(begun))
}

fn give(stream: &mut TcpStream) -> Result<()> {
    let chunk = vec![0x5a; 1 << 20];
    for _ in 0..MEBIBYTES {
        stream.write_all(&chunk)?;
    }
    Ok(stream.shutdown(Shutdown::Write)?)
}

fn take(stream: &mut TcpStream) -> Result<()> {
    let mut chunk = vec![0; 1 << 20];
    let mut left = MEBIBYTES << 20;
    loop {
        match stream.read(&mut chunk)? {
            0 => break,
            length => left -= length.min(left),
        }
    }
    ensure!(left == 0, "{left} bytes are missing");
    Ok(())
}

/// System calls of both agents for each packet, data or acknowledgement, each of which passes both.
fn calls<'n>(
    way: &Way,
    prefix: &str,
    program: &str,
    near: &'n Node,
    far: &'n Node,
) -> Result<Case> {
    let mut each = Vec::new();
    for _ in 0..CALL_RUNS {
        let counted = |node: &'n Node| Calls::of(&node.host, node.pid(program, prefix)?);
        let (one, other) = (counted(near)?, counted(far)?);
        let before = segments(near)? + segments(far)?;
        stream(near, far, way.address)?;
        let packets = segments(near)? + segments(far)? - before;
        each.push((one.count()? + other.count()?) as f64 / packets as f64);
    }
    let name = format!("system calls of both agents for each packet, {}", way.name);
    Ok(case(&name, Unit::Calls, &each))
}

/// TCP segments a host has sent. The kernel counts what will be on the wire, however much of it is
/// handed on at once.
fn segments(node: &Node) -> Result<u64> {
    let text = node.host.read("/proc/net/snmp")?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let names = lines.next().unwrap_or_default().split(' ');
    let numbers = lines.next().unwrap_or_default().split(' ');
    let found = names.zip(numbers).find(|(name, _)| *name == "OutSegs");
    let (_, number) = found.with_context(|| format!("no OutSegs in:\n{text}"))?;
    Ok(number.parse()?)
}
