//! A network segment between hosts.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;

use crate::Host;

/// A switch: hosts plug in with an address.
pub struct Lan {
    switch: Host,
    ports: AtomicU32,
}

impl Lan {
    /// A switch without any host.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn new() -> Result<Self> {
        let switch = Host::bare("lan")?;
        switch.network(&["ip", "link", "add", "lan0", "type", "bridge"])?;
        switch.network(&["ip", "link", "set", "lan0", "up"])?;
        Ok(Self {
            switch,
            ports: AtomicU32::new(0),
        })
    }

    /// Gives `host` an interface on this segment, with an address such as
    /// `192.0.2.1/24`.
    ///
    /// # Errors
    /// If the link cannot be made.
    pub fn join(&self, host: &Host, interface: &str, address: &str) -> Result<()> {
        let port = format!("port{}", self.ports.fetch_add(1, Ordering::Relaxed));
        let pid = host.pid().to_string();
        let veth = ["type", "veth", "peer", "name", interface, "netns", &pid];
        self.switch
            .network(&[&["ip", "link", "add", "name", &port], &veth[..]].concat())?;
        self.switch
            .network(&["ip", "link", "set", &port, "master", "lan0", "up"])?;
        host.network(&["ip", "address", "add", address, "dev", interface])?;
        host.network(&["ip", "link", "set", interface, "up"])?;
        Ok(())
    }
}
