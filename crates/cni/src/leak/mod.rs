//! Rules that outlive their attachment, and their removal.
//!
//! The reference bridge plugin finds what to unmasquerade by the addresses on the
//! interface; with the interface or the namespace gone it leaves rules and chain
//! behind. The firewall plugin finds its rules by the result of ADD, the others
//! by names; a plugin that was killed finds nothing. After a DEL this step looks
//! for what carries the container's ID and removes it, in one transaction for
//! each family.
//!
//! ```text
//!  iptables-save, nft -j --parse--> rules --plan--> one script --apply--> gone
//! ```
//!
//! Parsing and planning are pure. The caller holds the container's lock, and has
//! no other attachment of this container to this network: the plugins name
//! their chains without the interface.

mod iptables;
mod names;
mod nft;
mod owners;

use std::net::IpAddr;

use ignite_host as host;

pub use iptables::{Plan, plan, plan_all};
pub(crate) use names::digest;
pub use names::{masquerade_chain, port_chain};
pub use nft::plan as plan_nft;
pub use owners::{Owner, in_iptables, in_nft, owners};

/// Whose rules are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The network's name.
    pub network: String,
    /// Container ID; empty where only what carries an address is meant.
    pub container_id: String,
    /// Name of the interface inside the namespace.
    pub ifname: String,
    /// Its addresses, as far as they are known and given to nobody else by now.
    /// The firewall plugin's rules carry nothing but them.
    pub addresses: Vec<IpAddr>,
}

/// How much was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Rules.
    pub rules: usize,
    /// Chains.
    pub chains: usize,
}

/// Errors of removing.
#[derive(Debug, thiserror::Error)]
pub enum LeakError {
    /// Of iptables.
    #[error("cannot remove what is left of {container_id} from the {family} tables of iptables")]
    Iptables {
        /// The container; of many, the first and how many more.
        container_id: String,
        /// "IPv4" or "IPv6".
        family: &'static str,
        /// Why.
        #[source]
        source: host::iptables::Error,
    },
    /// Of nftables.
    #[error("cannot remove what is left of {container_id} from the nftables table {table}")]
    Nft {
        /// The container; of many, the first and how many more.
        container_id: String,
        /// Family and name of the table.
        table: String,
        /// Why.
        #[source]
        source: host::nft::Error,
    },
}

impl LeakError {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Iptables { source, .. } => source.hint(),
            Self::Nft { source, .. } => source.hint(),
        }
    }
}

/// The tables of iptables the plugins write to.
const TABLES: [&str; 2] = ["nat", "filter"];

/// The tables of nftables the plugins write to, from 1.6 on.
const NFT_TABLES: [(&str, &str); 3] = [
    ("inet", "cni_plugins_masquerade"),
    ("ip", "cni_hostport"),
    ("ip6", "cni_hostport"),
];

/// Another program may change the tables between reading and writing; the
/// transaction fails then as a whole.
const TRIES: u32 = 4;

/// Removes what is left, in the calling thread's network namespace. Goes on after
/// an error and returns all.
pub fn remove(subject: &Subject) -> (Removed, Vec<LeakError>) {
    remove_all(std::slice::from_ref(subject))
}

/// The same for many containers, in as many transactions as for one.
pub fn remove_all(subjects: &[Subject]) -> (Removed, Vec<LeakError>) {
    let mut removed = Removed::default();
    let mut errors = Vec::new();
    if subjects.is_empty() {
        return (removed, errors);
    }
    for family in FAMILIES {
        match remove_iptables(subjects, family) {
            Ok(more) => removed.add(more),
            Err(source) => errors.push(LeakError::Iptables {
                container_id: whose(subjects),
                family: word(family),
                source,
            }),
        }
    }
    for (family, table) in NFT_TABLES {
        match remove_nft(subjects, family, table) {
            Ok(more) => removed.add(more),
            Err(source) => errors.push(LeakError::Nft {
                container_id: whose(subjects),
                table: format!("{family} {table}"),
                source,
            }),
        }
    }
    (removed, errors)
}

const FAMILIES: [host::iptables::Family; 2] =
    [host::iptables::Family::V4, host::iptables::Family::V6];

fn word(family: host::iptables::Family) -> &'static str {
    match family {
        host::iptables::Family::V4 => "IPv4",
        host::iptables::Family::V6 => "IPv6",
    }
}

/// For messages.
fn whose(subjects: &[Subject]) -> String {
    match subjects {
        [] => String::new(),
        [one] => one.container_id.clone(),
        [first, others @ ..] => format!("{} and {} others", first.container_id, others.len()),
    }
}

/// The tables as `iptables-save` prints them; none where there is no such program:
/// nobody wrote rules with it.
fn saved(family: host::iptables::Family) -> Result<Option<String>, host::iptables::Error> {
    let mut saved = String::new();
    for table in TABLES {
        match host::iptables::save(table, family) {
            Ok(text) => saved.push_str(&text),
            Err(host::iptables::Error::Run { source, .. }) if source.is_not_found() => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Some(saved))
}

fn remove_iptables(
    subjects: &[Subject],
    family: host::iptables::Family,
) -> Result<Removed, host::iptables::Error> {
    let mut tries = 0;
    loop {
        let Some(saved) = saved(family)? else {
            return Ok(Removed::default());
        };
        let plan = plan_all(&saved, subjects);
        if plan.is_empty() {
            return Ok(Removed::default());
        }
        tries += 1;
        match host::iptables::restore(&plan.script(), family) {
            Ok(()) => return Ok(plan.removed()),
            Err(host::iptables::Error::Refused { .. }) if tries < TRIES => {}
            Err(error) => return Err(error),
        }
    }
}

/// The objects of a table; none where it or the program is not there.
fn listed(family: &str, table: &str) -> Result<Vec<serde_json::Value>, host::nft::Error> {
    match host::nft::list_json(family, table) {
        Ok(objects) => Ok(objects.unwrap_or_default()),
        Err(host::nft::Error::Run(error)) if error.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn remove_nft(
    subjects: &[Subject],
    family: &str,
    table: &str,
) -> Result<Removed, host::nft::Error> {
    let mut tries = 0;
    loop {
        let objects = listed(family, table)?;
        if objects.is_empty() {
            return Ok(Removed::default());
        }
        // One subject's rules are no other's: no handle is named twice.
        let script: Vec<String> = subjects
            .iter()
            .flat_map(|subject| plan_nft(&objects, subject))
            .collect();
        if script.is_empty() {
            return Ok(Removed::default());
        }
        tries += 1;
        match host::nft::apply(&script.concat()) {
            Ok(()) => {
                return Ok(Removed {
                    rules: script.len(),
                    chains: 0,
                });
            }
            Err(host::nft::Error::Refused { .. }) if tries < TRIES => {}
            Err(error) => return Err(error),
        }
    }
}

impl Removed {
    fn add(&mut self, more: Self) {
        self.rules += more.rules;
        self.chains += more.chains;
    }
}
