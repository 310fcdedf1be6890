//! What a host that is in an overlay says of it, and the flags of both ways there.

use std::net::Ipv4Addr;

use clap::Args;
use ignite_engine::Report;
use ignite_engine::overlay::{HostChoice, OverlayName, OverlayUp};

use crate::context::Context;

/// Flags about this host.
#[derive(Debug, Args)]
pub struct HostArgs {
    /// Interface by which the other hosts are reached, by name or address
    #[arg(long, value_name = "NAME", help_heading = "This host")]
    iface: Option<String>,

    /// Address by which the others reach this host, if it is not the interface's
    #[arg(long, value_name = "ADDRESS", help_heading = "This host")]
    public_ip: Option<Ipv4Addr>,
}

impl HostArgs {
    pub fn choice(self) -> HostChoice {
        HostChoice {
            iface: self.iface,
            can_reach: None,
            public_ip: self.public_ip,
        }
    }
}

/// Says what this host has; `name` is the overlay's.
pub fn tell(context: &Context, name: &OverlayName, up: &OverlayUp) {
    let agent = &up.agent;
    let backend = agent.backend.as_deref().unwrap_or("unknown");
    if let (Some(subnet), Some(network), Some(mtu)) = (agent.subnet, agent.network, agent.mtu) {
        context.terminal.info(&format!(
            "this host has {subnet} of {network} (backend {backend}, MTU {mtu}); VMs get addresses of it: ignite run IMAGE"
        ));
    }
    context.terminal.info(match up.encrypted {
        true => "what the hosts say to etcd is encrypted (TLS)",
        false => "what the hosts say to etcd is NOT encrypted",
    });
    context.terminal.info(match backend {
        "wireguard" => "what VMs send from host to host is encrypted (WireGuard)",
        _ => "what VMs send from host to host is NOT encrypted; for that there is --backend wireguard",
    });
    if !up.survives_reboot {
        context.terminal.info(&format!(
            "there is no systemd here: after a reboot, run ignite overlay start{}",
            name.flag()
        ));
    }
}
