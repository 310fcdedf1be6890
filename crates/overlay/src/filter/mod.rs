//! Forward and masquerade rules of this node.
//!
//! ```text
//!   Rules --plan--> nft:      table inet ignite-overlay-<network>     masquerade
//!                   iptables: FORWARD -> FLANNEL-FWD: accept          where FORWARD drops, or Flannel is
//! ```
//!
//! What decides where a rule goes:
//!
//! * Masquerading is always in a table of our own, `FLANNEL-POSTRTG` or not: a connection gets one source
//!   translation, by whoever comes first, and both say the same. So a `flanneld` in the same namespace
//!   is neither fought nor relied upon.
//! * Accepting to forward is of use only where the dropping chain looks: an accept in a table of our own
//!   leaves the verdict of every other table as it is. So there is no forward chain in ours, but
//!   Flannel's canonical one in iptables, shared with any `flanneld`; where nothing drops and there is
//!   no such chain, nothing is done.
//! * The jump to it is appended, as today's Flannel does, so that what somebody forbids in particular
//!   stays forbidden; but before a rule that drops everything, which stands for a policy.
//! * In `FLANNEL-FWD`, rules of our network are ours. Flannel's tables of nftables are never touched.
//!
//! All of it works in the calling thread's network namespace, and waits for child processes.

mod forward;
#[cfg(test)]
mod forward_tests;
mod masquerade;
mod rules;
#[cfg(test)]
mod test_hosts;
#[cfg(test)]
mod tests;

use ignite_host::iptables::{self, Family};
use ignite_host::nft;
use ipnet::IpNet;

pub use forward::{plan as plan_forward, removal as plan_forward_removal, superseded};
pub use masquerade::{plan as plan_masquerade, table};
pub use rules::{Rules, Scope};

/// What [`Filter::check`] did not find as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// The table of nftables, or its chain at its hook.
    #[error("table inet {table} is missing or not as it should be")]
    Table {
        /// Its name.
        table: String,
    },
    /// A rule in it.
    #[error("table inet {table} is missing the rule {rule:?}")]
    Rule {
        /// The table's name.
        table: String,
        /// The rule's comment.
        rule: String,
    },
    /// A line of iptables' filter table.
    #[error("the {family} rules of iptables are missing {line:?}")]
    Forward {
        /// "IPv4" or "IPv6".
        family: &'static str,
        /// What would bring it.
        line: String,
    },
}

/// Errors of reading and writing rules.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// Of the masquerade rules.
    #[error("cannot keep the masquerade rules of table inet {table}")]
    Masquerade {
        /// Its name.
        table: String,
        /// Why.
        source: nft::Error,
    },
    /// Of the rules in tables of iptables.
    #[error("cannot keep the {family} rules of iptables")]
    Forward {
        /// "IPv4" or "IPv6".
        family: &'static str,
        /// Why.
        source: iptables::Error,
    },
}

impl FilterError {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Masquerade { source, .. } => source.hint(),
            Self::Forward { source, .. } => source.hint(),
        }
    }
}

/// Another program may change the tables between reading and writing; the transaction fails then as a
/// whole.
const TRIES: u32 = 4;

/// The rules of one overlay, kept in the kernel.
#[derive(Debug, Clone)]
pub struct Filter {
    rules: Rules,
}

impl Filter {
    /// Does nothing yet.
    pub fn new(rules: Rules) -> Self {
        Self { rules }
    }

    /// What is to be in the kernel.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Puts all rules there, whatever there is of them. The table of our own is made anew. Goes on after
    /// an error and returns all: each names what is not in place.
    pub fn apply(&self) -> Vec<FilterError> {
        let mut errors = Vec::new();
        let masqueraded = match self.rules.ip_masq {
            true => masquerade(&self.rules, &plan_masquerade(&self.rules)),
            false => unmasquerade(&self.rules),
        };
        errors.extend(masqueraded.err());
        if self.rules.forward {
            for (family, scope) in self.rules.scopes() {
                let forward = change("filter", family, |saved| plan_forward(saved, scope.network));
                errors.extend(forward.err());
            }
        }
        errors
    }

    /// Puts `rules` there and takes away what the ones before had besides, in Flannel's chains too: for
    /// a change of network or subnet. All that can be done is done, and all errors are returned; after
    /// one, what was before is not forgotten: say it again.
    ///
    /// At start, a filter of what `subnet.env` says is updated to what holds now.
    pub fn update(&mut self, rules: Rules) -> Vec<FilterError> {
        let next = Self::new(rules);
        let mut errors = Vec::new();
        if table(&next.rules) != table(&self.rules) {
            errors.extend(unmasquerade(&self.rules).err());
        }
        for (family, old) in self.rules.scopes() {
            let new = next.rules.scope(family);
            if new != Some(old) {
                let removed = change("nat", family, |saved| superseded(saved, old.network));
                errors.extend(removed.err());
            }
            if new.is_none_or(|new| new.network != old.network) || !next.rules.forward {
                let removed = change("filter", family, |saved| {
                    plan_forward_removal(saved, old.network)
                });
                errors.extend(removed.err());
            }
        }
        errors.extend(next.apply());
        if errors.is_empty() {
            *self = next;
        }
        errors
    }

    /// What of the rules is not there, and where that cannot be told. Changes nothing.
    pub fn check(&self) -> (Vec<Missing>, Vec<FilterError>) {
        let (mut missing, mut errors) = (Vec::new(), Vec::new());
        if self.rules.ip_masq {
            let table = table(&self.rules);
            match nft::list_json("inet", &table) {
                Ok(found) => missing.extend(masquerade::missing(&self.rules, found.as_deref())),
                Err(source) => errors.push(FilterError::Masquerade { table, source }),
            }
        }
        if self.rules.forward {
            for (family, scope) in self.rules.scopes() {
                let lines = match saved("filter", family) {
                    Ok(saved) => saved.map(|saved| plan_forward(&saved, scope.network)),
                    Err(error) => {
                        errors.push(error);
                        continue;
                    }
                };
                let family = word(family);
                let lines = lines.into_iter().flatten();
                missing.extend(lines.map(|line| Missing::Forward { family, line }));
            }
        }
        (missing, errors)
    }

    /// Brings back what is not there, and says what that was; errors name what cannot be looked at or
    /// brought back. To be called every few seconds: firewalls flush what is not theirs.
    pub fn resync(&self) -> (Vec<Missing>, Vec<FilterError>) {
        match self.check() {
            (missing, errors) if missing.is_empty() => (missing, errors),
            (missing, _) => match self.apply() {
                errors if errors.is_empty() => (missing, errors),
                // Not all of it is back.
                errors => (Vec::new(), errors),
            },
        }
    }

    /// Takes all of ours away; what others put stays. Goes on after an error and returns all.
    pub fn remove(&self) -> Vec<FilterError> {
        let mut errors = Vec::new();
        errors.extend(unmasquerade(&self.rules).err());
        for (family, scope) in self.rules.scopes() {
            let removed = change("filter", family, |saved| {
                plan_forward_removal(saved, scope.network)
            });
            errors.extend(removed.err());
        }
        errors
    }
}

fn masquerade(rules: &Rules, script: &str) -> Result<(), FilterError> {
    nft::apply(script).map_err(|source| FilterError::Masquerade {
        table: table(rules),
        source,
    })
}

/// Takes the table of our own away. Where there is no `nft`, nobody has made it.
fn unmasquerade(rules: &Rules) -> Result<(), FilterError> {
    match masquerade(rules, &masquerade::removal(rules)) {
        Err(FilterError::Masquerade {
            source: nft::Error::Run(source),
            ..
        }) if source.is_not_found() => Ok(()),
        other => other,
    }
}

/// Changes a table of iptables by the lines that `plan` makes of its state.
fn change(
    table: &str,
    family: Family,
    plan: impl Fn(&str) -> Vec<String>,
) -> Result<(), FilterError> {
    let mut tries = 0;
    loop {
        let lines = saved(table, family)?.map_or_else(Vec::new, |saved| plan(&saved));
        if lines.is_empty() {
            return Ok(());
        }
        tries += 1;
        let script = format!("*{table}\n{}\nCOMMIT\n", lines.join("\n"));
        match iptables::restore(&script, family) {
            Ok(()) => return Ok(()),
            Err(iptables::Error::Refused { .. }) if tries < TRIES => {}
            Err(source) => return Err(error(family, source)),
        }
    }
}

/// The table as `iptables-save` prints it; none where there is no such program: nobody wrote rules
/// with it.
fn saved(table: &str, family: Family) -> Result<Option<String>, FilterError> {
    match iptables::save(table, family) {
        Ok(text) => Ok(Some(text)),
        Err(iptables::Error::Run { source, .. }) if source.is_not_found() => Ok(None),
        Err(source) => Err(error(family, source)),
    }
}

fn error(family: Family, source: iptables::Error) -> FilterError {
    FilterError::Forward {
        family: word(family),
        source,
    }
}

fn word(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

/// The part of the rules that is of one family, as text needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    network: IpNet,
    subnet: IpNet,
}
