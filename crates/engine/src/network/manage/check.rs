//! `network check`: whether running VMs are attached as they were.
//!
//! Every plugin of every attachment is asked by CHECK. Where that is no use (too old a version, a
//! network that switched it off, a plugin whose CHECK is known to be wrong), our own look takes its
//! place.

use std::sync::Arc;

use ignite_api::Uid;
use ignite_cni::{Error as CniError, NetworkConfig};
use ignite_store::{AttachmentRecord, HolderRecord, Liveness, NetworkLock, VmLock};
use serde::Serialize;

use super::{VmRef, look, ours};
use crate::network::Error as NetworkError;
use crate::vm::repair::is_alive;
use crate::{Engine, Error};

/// What was found of one attachment; one that is as it was made has one line that says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The VM.
    pub vm: VmRef,
    /// Its interface; none where the VM as a whole could not be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The plugin that says so; none where we do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// How good or bad it is.
    pub verdict: Verdict,
    /// What it is.
    pub text: String,
}

impl Finding {
    /// Whether something differs.
    pub fn is_wrong(&self) -> bool {
        self.verdict == Verdict::Wrong
    }
}

/// How good or bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it was made.
    Ok,
    /// Nobody can say.
    NotCheckable,
    /// It differs.
    Wrong,
}

impl Verdict {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotCheckable => "not checkable",
            Self::Wrong => "wrong",
        }
    }
}

/// What was found of all of them.
#[derive(Debug, Default)]
pub struct Checkup {
    /// A line for each finding, in the order of VMs and interfaces.
    pub findings: Vec<Finding>,
    /// Records that could not be read, in words.
    pub faults: Vec<String>,
}

impl Checkup {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty() && !self.findings.iter().any(Finding::is_wrong)
    }
}

impl Engine {
    /// Looks at every attachment of all running VMs, or of the one that `text` means.
    pub fn check_networks(&self, text: Option<&str>) -> Result<Checkup, Error> {
        let wanted = text.map(|text| self.vms.resolve(text)).transpose()?;
        let summary = self.vms.summary()?;
        let mut checkup = Checkup {
            faults: match wanted {
                Some(_) => Vec::new(),
                None => summary.faults.iter().map(ToString::to_string).collect(),
            },
            ..Checkup::default()
        };
        for vm in summary.vms {
            let reference = VmRef {
                uid: vm.uid,
                name: vm.name,
            };
            match wanted {
                Some(uid) if uid != vm.uid => continue,
                Some(_) if !self.is_live(vm.uid)? => {
                    return Err(Error::NotRunning {
                        name: reference.name,
                    });
                }
                None if !vm.state.is_live() => continue,
                _ => checkup.findings.extend(self.check_vm(&reference)?),
            }
        }
        Ok(checkup)
    }

    fn is_live(&self, uid: Uid) -> Result<bool, Error> {
        Ok(Liveness::is_held(&self.config.paths, uid)?)
    }

    fn check_vm(&self, vm: &VmRef) -> Result<Vec<Finding>, Error> {
        let Some(lock) = self.vms.try_lock(vm.uid)? else {
            return Ok(vec![Finding {
                vm: vm.clone(),
                interface: None,
                network: None,
                plugin: None,
                verdict: Verdict::NotCheckable,
                text: "it is being started or stopped in this moment".into(),
            }]);
        };
        let mut findings = Vec::new();
        let network = lock.network()?;
        for made in &network.attachments {
            let mut found = match &network.holder {
                Some(holder) => check_held(holder, made),
                None => self.check_attachment(&lock, made)?,
            };
            if found.is_empty() {
                found.push(Found::ok());
            }
            findings.extend(found.into_iter().map(|found| found.of(vm, made)));
        }
        Ok(findings)
    }

    fn check_attachment(
        &self,
        lock: &VmLock,
        made: &AttachmentRecord,
    ) -> Result<Vec<Found>, Error> {
        let config = NetworkConfig::parse(made.config.as_bytes()).map_err(|source| {
            NetworkError::Recorded {
                network: made.network.clone(),
                source,
            }
        })?;
        let mut runtime = self.config.cni.clone();
        let held = lock.to_fd().map_err(NetworkError::Lock)?;
        runtime.inherited.push(Arc::new(held));
        let shared = NetworkLock::shared(&self.config.paths, &made.network)?;
        let answers = runtime.check_each(&config, &ours::attachment(made));
        drop(shared);
        let mut found = match answers {
            Ok(_) if config.disable_check => vec![Found::not_checkable(
                None,
                "its configuration switches CHECK off",
            )],
            Ok(answers) => answers
                .into_iter()
                .filter_map(|answer| Some(judge(&answer.plugin, &answer.outcome.err()?, made)))
                .collect(),
            Err(CniError::Unsupported { version, .. }) => {
                let text = format!("CNI version {version} has no CHECK");
                vec![Found::not_checkable(None, &text)]
            }
            Err(error) => vec![Found::wrong(None, ignite_cni::error::chain(&error))],
        };
        if found.iter().any(Found::is_not_checkable) {
            let differences = look::differences(&config, made);
            if differences.is_empty() {
                for found in found.iter_mut().filter(|found| found.is_not_checkable()) {
                    found.text.push_str("; our own look finds nothing wrong");
                }
            }
            found.extend(differences.into_iter().map(|text| Found::wrong(None, text)));
        }
        Ok(found)
    }
}

/// What Docker made has no CHECK: the interface, and the process with which it would go.
fn check_held(holder: &HolderRecord, made: &AttachmentRecord) -> Vec<Found> {
    let mut wrong = look::interface(&shown(made));
    if !holder.process.as_ref().is_some_and(is_alive) {
        wrong.push(format!("the container {} does not run", holder.container));
    }
    wrong
        .into_iter()
        .map(|text| Found::wrong(None, text))
        .collect()
}

/// What a sandbox shows that was silenced after its interface was made: the kernel takes the IPv6
/// addresses off as IPv6 goes. The guest has them nevertheless.
fn shown(made: &AttachmentRecord) -> AttachmentRecord {
    let mut shown = made.clone();
    shown.addresses.retain(|address| address.addr().is_ipv4());
    shown
}

/// A finding before it is said whose it is.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    plugin: Option<String>,
    verdict: Verdict,
    text: String,
}

impl Found {
    fn ok() -> Self {
        Self {
            plugin: None,
            verdict: Verdict::Ok,
            text: "as it was made".into(),
        }
    }

    fn not_checkable(plugin: Option<&str>, text: &str) -> Self {
        Self {
            plugin: plugin.map(str::to_owned),
            verdict: Verdict::NotCheckable,
            text: text.to_owned(),
        }
    }

    fn wrong(plugin: Option<&str>, text: String) -> Self {
        Self {
            plugin: plugin.map(str::to_owned),
            verdict: Verdict::Wrong,
            text,
        }
    }

    fn is_not_checkable(&self) -> bool {
        self.verdict == Verdict::NotCheckable
    }

    fn of(self, vm: &VmRef, made: &AttachmentRecord) -> Finding {
        Finding {
            vm: vm.clone(),
            interface: Some(made.interface.clone()),
            network: Some(made.network.clone()),
            plugin: self.plugin,
            verdict: self.verdict,
            text: self.text,
        }
    }
}

/// What a plugin's objection is worth.
fn judge(plugin: &str, error: &CniError, made: &AttachmentRecord) -> Found {
    let text = reason(error);
    match defect(plugin, error.code(), &text, made) {
        Some(known) => Found::not_checkable(Some(plugin), known),
        None => Found::wrong(Some(plugin), text),
    }
}

/// What the plugin said, without the names that stand beside it already.
fn reason(error: &CniError) -> String {
    match error {
        CniError::Plugin { source, .. } => ignite_cni::error::chain(&**source),
        other => ignite_cni::error::chain(other),
    }
}

/// Objections that are the plugin's own fault.
///
/// `portmap` up to 1.1.1 looks for its rules in the tables of IPv4 and IPv6, and makes them for the
/// addresses there are: its CHECK of an attachment with IPv4 alone fails always.
fn defect(
    plugin: &str,
    code: Option<u32>,
    text: &str,
    made: &AttachmentRecord,
) -> Option<&'static str> {
    let only_v4 = made.addresses.iter().all(|ip| ip.addr().is_ipv4());
    let portmap = plugin == "portmap" && code == Some(999) && only_v4 && text.contains("ipv6 dnat");
    portmap.then_some("this portmap looks for IPv6 rules although there is no IPv6 address")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ignite_cni::error::{Command, PluginError};
    use ignite_cni::exec::ExecError;
    use ignite_store::AttachmentState;

    fn made(address: &str) -> AttachmentRecord {
        AttachmentRecord {
            network: "n".into(),
            config_file: Default::default(),
            config: String::new(),
            interface: "eth0".into(),
            mac: "02:00:00:00:00:01".parse().expect("a MAC"),
            container_id: "ignite-abc".into(),
            netns: Default::default(),
            args: vec![],
            capabilities: Default::default(),
            state: AttachmentState::Attached,
            result: None,
            addresses: vec![address.parse().expect("a network")],
            gateway: None,
        }
    }

    fn objection(plugin: &str, code: u32, msg: &str) -> CniError {
        CniError::Plugin {
            network: "n".into(),
            plugin: plugin.into(),
            command: Command::Check,
            source: Box::new(ExecError::Reported(PluginError {
                code,
                msg: msg.into(),
                details: String::new(),
            })),
        }
    }

    #[test]
    fn a_known_defect_is_no_fault_of_the_attachment() {
        let said = "could not check ipv6 dnat: chain CNI-DN-1 not found in iptables table nat";
        let verdict = |plugin: &str, code, said: &str, address: &str| {
            judge(plugin, &objection(plugin, code, said), &made(address)).verdict
        };
        assert_eq!(
            verdict("portmap", 999, said, "10.0.0.2/8"),
            Verdict::NotCheckable
        );
        assert_eq!(verdict("portmap", 999, said, "fd00::2/64"), Verdict::Wrong);
        assert_eq!(verdict("mine", 999, said, "10.0.0.2/8"), Verdict::Wrong);
        let v4 = "could not check ipv4 dnat: chain CNI-DN-1 not found";
        assert_eq!(verdict("portmap", 999, v4, "10.0.0.2/8"), Verdict::Wrong);
    }

    #[test]
    fn ipv6_is_not_looked_for_in_a_silenced_sandbox() {
        let mut both = made("172.17.0.2/16");
        both.addresses
            .push("fd00::2/64".parse().expect("a network"));
        assert_eq!(shown(&both).addresses, made("172.17.0.2/16").addresses);
    }

    #[test]
    fn only_what_is_wrong_spoils_a_checkup() {
        let vm = VmRef {
            uid: Uid::random(),
            name: "web".into(),
        };
        let made = made("10.0.0.2/8");
        let mut checkup = Checkup {
            findings: vec![
                Found::ok().of(&vm, &made),
                Found::not_checkable(None, "x").of(&vm, &made),
            ],
            faults: vec![],
        };
        assert!(checkup.is_sound());
        let wrong = Found::wrong(Some("bridge"), "y".into()).of(&vm, &made);
        checkup.findings.push(wrong);
        assert!(!checkup.is_sound());
    }
}
