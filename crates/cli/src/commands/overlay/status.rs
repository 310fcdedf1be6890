//! `ignite overlay status`: how this host is in its overlays.

use std::fmt::Write;

use clap::Args;
use ignite_engine::overlay::{
    EndpointState, OverlayName, OverlayNode, OverlayPeer, OverlayStatus, Reachable,
};
use ignite_program::FAILED;
use jiff::Timestamp;

use crate::context::{Context, Outcome};
use crate::duration::{human, since};
use crate::output::OutputArgs;
use crate::table::Table;
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite overlay status
  ignite overlay status --no-probe     without asking the other hosts for an answer
  ignite overlay status -o json

For each trouble there is a remedy. Exit code 1 if there is any.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Status {
    /// Name of the overlay [default: all of this host]
    #[arg(long, value_name = "NAME")]
    name: Option<OverlayName>,

    /// Do not ask the other hosts for an answer
    #[arg(long)]
    no_probe: bool,

    #[command(flatten)]
    output: OutputArgs,
}

impl Verb for Status {
    const ABOUT: &'static str = "Show this host's subnet, the other hosts, and what is wrong";

    fn run(self, context: &Context) -> Outcome {
        let engine = context.networks()?;
        let mut names: Vec<OverlayName> = match self.name {
            Some(name) => vec![name],
            None => engine.overlays(),
        };
        if names.is_empty() {
            // Says what there is to do.
            names.push(OverlayName::default());
        }
        let mut all = Vec::new();
        for name in &names {
            all.push(engine.overlay_status(name, !self.no_probe)?);
        }
        match self.output.output {
            Some(format) => {
                context.encode(format, &all)?;
            }
            None => {
                let now = Timestamp::now();
                let texts: Vec<String> = all.iter().map(|status| text(status, now)).collect();
                context.terminal.result(&texts.join("\n"))?;
                for trouble in all.iter().flat_map(|status| &status.checkup.troubles) {
                    let text = format!("{}\n  remedy: {}", trouble.text, trouble.remedy);
                    context.terminal.trouble(&text);
                }
            }
        }
        let sound = all.iter().all(|status| status.checkup.troubles.is_empty());
        Ok(if sound { 0 } else { FAILED })
    }
}

/// All but the troubles.
fn text(status: &OverlayStatus, now: Timestamp) -> String {
    let node = &status.checkup.node;
    let mut lines = vec![
        ("overlay", format!("{}: {}", status.name, status.role)),
        ("network", format!("{} (CNI)", status.network)),
        ("agent", agent(status)),
        ("subnet", subnet(node)),
        ("lease", lease(node)),
        ("backend", backend(node)),
    ];
    for endpoint in &status.checkup.etcd {
        let state = match (endpoint.state, endpoint.round_trip_ms) {
            (EndpointState::Ok, Some(time)) => format!("answers in {time:.1} ms"),
            (EndpointState::Ok, None) => "answers".to_owned(),
            (EndpointState::Failed(kind), _) => kind.name(),
        };
        lines.push(("etcd", format!("{} {state}", endpoint.endpoint)));
    }
    let encrypted = match status.control_plane_encrypted {
        true => "to etcd, TLS",
        false => "to etcd, nothing",
    };
    let traffic = match node.backend.as_deref() {
        Some("wireguard") => "between VMs of two hosts, WireGuard",
        _ => "between VMs of two hosts, nothing",
    };
    lines.push(("encrypted", format!("{encrypted}; {traffic}")));
    if let Some(port) = status.join_port {
        lines.push(("joining", format!("at port {port}/tcp, with a token")));
    }
    let mut text = String::new();
    for (label, value) in lines {
        writeln!(text, "{label:<12}{value}").expect("a String takes everything");
    }
    text.push('\n');
    text + &peers(&status.checkup.peers, now)
}

fn agent(status: &OverlayStatus) -> String {
    match status.checkup.node.pid {
        Some(pid) => format!("runs (pid {pid}); its words: {}", status.log),
        None => format!("does not run; its words: {}", status.log),
    }
}

fn subnet(node: &OverlayNode) -> String {
    let free = match node.free_subnets {
        Some(count) => format!(", {count} more are free"),
        None => String::new(),
    };
    match (node.subnet, node.network) {
        (Some(subnet), Some(network)) => {
            let six = node.ipv6_subnet.zip(node.ipv6_network);
            let six = six.map_or(String::new(), |(subnet, network)| {
                format!("; {subnet} of {network}")
            });
            format!("{subnet} of {network}{six}{free}")
        }
        (None, Some(network)) => format!("none yet of {network}{free}"),
        _ => "none yet".to_owned(),
    }
}

fn lease(node: &OverlayNode) -> String {
    match (node.reserved, node.lease_seconds_left) {
        (true, _) => "none that ends: the subnet is reserved".to_owned(),
        (false, Some(left)) => {
            let left = human(i64::try_from(left).unwrap_or(i64::MAX));
            format!("{left} left; the agent renews it")
        }
        (false, None) => "none".to_owned(),
    }
}

fn backend(node: &OverlayNode) -> String {
    let mut text = node.backend.clone().unwrap_or_else(|| "unknown".to_owned());
    if let (Some(interface), Some(address)) = (&node.interface, node.public_ip) {
        write!(text, " on {interface} ({address})").expect("a String takes everything");
    }
    if let Some(device) = &node.device {
        write!(text, ", device {device}").expect("a String takes everything");
    }
    if let Some(mtu) = node.mtu {
        write!(text, ", MTU {mtu} bytes").expect("a String takes everything");
    }
    text
}

fn peers(peers: &[OverlayPeer], now: Timestamp) -> String {
    if peers.is_empty() {
        return "no other hosts yet\n".to_owned();
    }
    let mut table = Table::new([
        "HOST",
        "SUBNET",
        "BACKEND",
        "LAST CHANGE",
        "REACHABLE",
        "ROUND TRIP",
    ]);
    for peer in peers {
        let changed = peer
            .last_change
            .and_then(|then| Timestamp::from_second(i64::try_from(then).ok()?).ok())
            .and_then(|then| since(then, now))
            .map_or("-".to_owned(), |ago| format!("{ago} ago"));
        let reachable = match peer.reachable {
            Reachable::Yes => "yes",
            Reachable::No => "no",
            Reachable::Unknown => "unknown",
        };
        let time = peer
            .round_trip_ms
            .map_or("-".to_owned(), |time| format!("{time:.1} ms"));
        let backend = peer.backend.as_deref().unwrap_or("-");
        table.push([
            &peer.public_ip,
            &peer.subnet,
            &backend,
            &changed,
            &reachable,
            &time,
        ]);
    }
    table.render()
}
