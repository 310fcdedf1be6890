//! A VM's network, tried out: tap, redirect and packet filter, in a network namespace without a name.

use crate::bpf::Program;
use crate::link::Netlink;
use crate::netns::Namespace;
use crate::{error, nft, tap};

/// How each step went: nothing, or why it failed in words. Only what is [`Tried`] was done.
pub type Outcome = Option<Result<(), String>>;

/// What is tried; a part of the kernel that would have to be loaded for it is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tried {
    /// A tap.
    pub tap: bool,
    /// An ingress queue with a `bpf` classifier that redirects; needs the tap.
    pub redirect: bool,
    /// A table of nftables.
    pub filter: bool,
}

/// How they went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trial {
    /// The namespace.
    pub namespace: Outcome,
    /// The tap.
    pub tap: Outcome,
    /// The redirect.
    pub redirect: Outcome,
    /// The packet filter.
    pub filter: Outcome,
}

/// Tries it. The namespace ends before this returns, with everything in it.
pub fn try_out(tried: Tried) -> Trial {
    let namespace = match Namespace::anonymous() {
        Ok(namespace) => namespace,
        Err(error) => return refused(error::chain(&error)),
    };
    match namespace.run(|| inside(tried)) {
        Ok(trial) => trial,
        Err(error) => refused(error::chain(&error)),
    }
}

fn refused(why: String) -> Trial {
    Trial {
        namespace: Some(Err(why)),
        ..Trial::default()
    }
}

fn inside(tried: Tried) -> Trial {
    let made = tried.tap.then(|| tap::Tap::create("tap0"));
    let redirect = match &made {
        Some(Ok(tap)) if tried.redirect => Some(redirect(tap.index())),
        _ => None,
    };
    Trial {
        namespace: Some(Ok(())),
        tap: made.map(|made| made.map(drop).map_err(|error| error::chain(&error))),
        redirect,
        filter: tried
            .filter
            .then(|| nft::apply(RULES).map_err(|error| error::chain(&error))),
    }
}

/// The kinds of tables and chains a VM's network uses.
const RULES: &str = "\
table inet ignite { chain input { type filter hook input priority -300; policy drop; }; }
table netdev ignite {
  chain tap { type filter hook ingress device \"lo\" priority 0; counter drop; }
}
";

fn redirect(index: u32) -> Result<(), String> {
    let attempt = || {
        let netlink = Netlink::open()?;
        netlink.ingress(index)?;
        netlink.redirect(index, &Program::always(u32::MAX), index)
    };
    attempt().map_err(|error| error::chain(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_works_here_and_is_gone_afterwards() {
        let tried = Tried {
            tap: true,
            redirect: true,
            filter: true,
        };
        let links = || {
            Netlink::open()
                .and_then(|netlink| netlink.links())
                .expect("links")
                .len()
        };
        let before = links();
        let trial = try_out(tried);
        for outcome in [trial.namespace, trial.tap, trial.redirect, trial.filter] {
            assert_eq!(outcome, Some(Ok(())));
        }
        assert_eq!(links(), before);
    }

    #[test]
    fn what_is_not_to_be_tried_is_not() {
        let tried = Tried {
            tap: false,
            redirect: true,
            filter: false,
        };
        let expected = Trial {
            namespace: Some(Ok(())),
            ..Trial::default()
        };
        assert_eq!(try_out(tried), expected);
    }
}
