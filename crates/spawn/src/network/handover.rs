//! Taps for a VMM that opens them by their names: they stay when we close them, and are taken away
//! with the network.

use ignite_host::error::SystemError;
use ignite_host::link::{self, Netlink};
use ignite_host::tap;
use ignite_vmm::{Nic, Tap};

use super::{Error, Network};

impl Network {
    /// Closes the taps and leaves them to `user`, if the VMM has one of its own. After a failure
    /// nothing is left.
    pub fn hand_over(
        mut self,
        nics: Vec<Nic>,
        user: Option<u32>,
    ) -> Result<(Self, Vec<Nic>), Error> {
        let names: Vec<(String, String)> = self.pairs.clone();
        let left = nics
            .into_iter()
            .zip(names)
            .map(|(nic, names)| self.leave(nic, names, user));
        match left.collect() {
            Ok(nics) => Ok((self, nics)),
            Err(error) => {
                self.remove();
                Err(error)
            }
        }
    }

    fn leave(
        &mut self,
        nic: Nic,
        (interface, name): (String, String),
        user: Option<u32>,
    ) -> Result<Nic, Error> {
        let Tap::Open(tap) = nic.tap else {
            return Ok(nic);
        };
        let index = self.index(&interface, &name)?;
        // Noted before it stays by itself.
        self.left.push(index);
        tap::leave(&tap, &name, user).map_err(|source| Error::System { interface, source })?;
        Ok(Nic {
            tap: Tap::Named { name, index },
            ..nic
        })
    }

    fn index(&self, interface: &str, name: &str) -> Result<u32, Error> {
        let netlink = self.netlink.as_ref();
        let found = netlink.map_or(Ok(None), |netlink| netlink.link(name));
        let found = found.map_err(|source| Error::Link {
            interface: interface.to_owned(),
            source,
        })?;
        let missing = || SystemError::new(format!("find the tap {name}"), not_found());
        found.map(|link| link.index).ok_or_else(|| Error::System {
            interface: interface.to_owned(),
            source: missing(),
        })
    }
}

fn not_found() -> std::io::Error {
    std::io::ErrorKind::NotFound.into()
}

/// Takes a tap away that was left by a run that died: the sandbox is the VM's alone, and so are the
/// taps in it.
pub(super) fn clear(netlink: &Netlink, name: &str) -> Result<(), link::Error> {
    match netlink.link(name)? {
        Some(link) if link.kind.as_deref() == Some("tun") => netlink.delete(link.index),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{attachment, in_sandbox};
    use super::*;

    #[test]
    fn a_tap_stays_for_its_vmm_and_goes_with_the_network() {
        in_sandbox(|netlink| {
            let build = || {
                let (network, nics) = Network::build(&[attachment()]).expect("an interface");
                network.hand_over(nics, Some(4242)).expect("an open tap")
            };
            let (network, nics) = build();
            let tap = netlink.link("tap0").expect("links").expect("it stays");
            let Tap::Named { name, index } = &nics[0].tap else {
                panic!("{nics:?}");
            };
            assert_eq!((name.as_str(), *index), ("tap0", tap.index));
            assert_eq!((tap.mtu, tap.up), (1400, true));
            // As after a supervisor that was killed.
            std::mem::forget(network);
            let (mut network, _nics) = build();
            let vmm = tap::open("tap0").expect("it is not open");
            assert!(network.remove().is_empty());
            assert_eq!(netlink.link("tap0").expect("links"), None);
            drop(vmm);
            assert!(network.remove().is_empty(), "once more is fine");
        });
    }
}
