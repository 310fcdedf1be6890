//! A WireGuard device of either make: the kernel's, or boringtun's where the kernel has none.
//!
//! Both are the same to peers, and are told the same. The kernel's can be changed behind our back and
//! outlives us, so it is read; boringtun's is a part of this program and goes with it.

use std::time::SystemTime;

use ignite_host::link::Netlink;
use ignite_host::wireguard::{Known, Wireguard};

use super::changes::{Changes, has};
use super::key::KeyPair;
use super::plan::{Peers, Wanted};
use super::tunnel::Tunnel;
use super::{kernel, link};
use crate::backend::Error;

/// boringtun reads 1500 bytes at most.
const LARGEST: u32 = 1500;

/// Where devices are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the kernel, as long as it does not say that it has no WireGuard.
    Kernel,
    /// In this program.
    Userspace,
}

/// One device.
#[derive(Debug)]
pub(super) struct Device {
    /// What it was made from.
    pub(super) wanted: Wanted,
    /// Its number.
    pub(super) index: u32,
    make: Make,
    /// What it has, as far as is known.
    peers: Peers,
    /// What it turned out to have; looked at with the next list of peers.
    found: Option<Vec<Known>>,
    /// It refused something, so what it has is not sure any more.
    broken: bool,
}

#[derive(Debug)]
enum Make {
    Kernel(Wireguard),
    Userspace(Tunnel),
}

impl Device {
    /// Makes the device, or takes the one of an earlier life, at `place`; corrects that if the kernel
    /// has no WireGuard.
    pub(super) fn open(
        netlink: &Netlink,
        wanted: Wanted,
        key: &KeyPair,
        place: &mut Place,
    ) -> Result<Self, Error> {
        if *place == Place::Kernel {
            if let Some(opened) = kernel::open(netlink, &wanted, key)? {
                return Ok(Self {
                    wanted,
                    index: opened.index,
                    make: Make::Kernel(opened.control),
                    peers: Peers::new(),
                    found: Some(opened.found),
                    broken: false,
                });
            }
            tracing::info!("the kernel has no WireGuard: in user space");
            *place = Place::Userspace;
        }
        let (tunnel, index) = userspace(netlink, &wanted, key)?;
        Ok(Self {
            wanted,
            index,
            make: Make::Userspace(tunnel),
            peers: Peers::new(),
            found: None,
            broken: false,
        })
    }

    /// The MTU it can have, of `mtu` bytes.
    pub(super) fn mtu(&self, mtu: u32) -> u32 {
        match self.make {
            Make::Kernel(_) => mtu,
            Make::Userspace(_) => mtu.min(LARGEST),
        }
    }

    /// Whether it is there and does as told. Looks at what it has, where others can change it.
    pub(super) fn check(&mut self, netlink: &Netlink, key: &KeyPair) -> Result<bool, Error> {
        let there = netlink.link_by_index(self.index).map_err(link)?.is_some();
        if !there || self.broken {
            return Ok(false);
        }
        let Make::Kernel(control) = &self.make else {
            return Ok(true);
        };
        let device = control.device(self.index).map_err(link)?;
        let ours = device.filter(|device| kernel::is_ours(device, &self.wanted, &key.public()));
        self.found = ours.map(|device| device.peers);
        Ok(self.found.is_some())
    }

    /// Makes it have the peers `wanted` and no others. One that refuses something is not asked again:
    /// it has to be opened anew.
    pub(super) fn follow(&mut self, wanted: Peers) -> Result<(), Error> {
        if self.broken {
            return Ok(());
        }
        if let Some(found) = self.found.take() {
            self.peers = has(found, &wanted, SystemTime::now());
        }
        let result = self.change(&Changes::between(&self.peers, &wanted));
        self.broken = result.is_err();
        self.peers = wanted;
        result
    }

    /// Does the same for the peers with these keys, each named once, without a look at the others.
    pub(super) fn follow_some(&mut self, keys: &[[u8; 32]], wanted: &Peers) -> Result<(), Error> {
        if self.found.is_some() {
            return self.follow(wanted.clone());
        }
        if self.broken || keys.is_empty() {
            return Ok(());
        }
        let result = self.change(&Changes::of_keys(keys, &self.peers, wanted));
        self.broken = result.is_err();
        for key in keys {
            match wanted.get(key) {
                Some(peer) => self.peers.insert(*key, peer.clone()),
                None => self.peers.remove(key),
            };
        }
        result
    }

    fn change(&self, changes: &Changes<'_>) -> Result<(), Error> {
        match &self.make {
            Make::Kernel(control) => {
                let changes = changes.for_kernel();
                control.change(self.index, &changes).map_err(link)
            }
            Make::Userspace(tunnel) => tunnel.change(changes),
        }
    }

    /// Takes it away.
    pub(super) fn delete(self, netlink: &Netlink) -> Result<(), Error> {
        match self.make {
            Make::Kernel(_) => netlink.delete(self.index).map_err(link),
            // Goes with its threads.
            Make::Userspace(_) => Ok(()),
        }
    }
}

fn userspace(netlink: &Netlink, wanted: &Wanted, key: &KeyPair) -> Result<(Tunnel, u32), Error> {
    let find = || netlink.link(wanted.name).map_err(link);
    if let Some(old) = find()? {
        netlink.delete(old.index).map_err(link)?;
    }
    let tunnel = Tunnel::open(wanted.name, key, wanted.port)?;
    let made = find()?.ok_or_else(|| Error::Gone {
        name: wanted.name.to_owned(),
    })?;
    Ok((tunnel, made.index))
}
