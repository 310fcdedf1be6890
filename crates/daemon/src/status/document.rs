//! The status file's shape.

use std::net::IpAddr;

use ignite_api::Uid;
use jiff::Timestamp;
use serde::Serialize;

use crate::desired::Fault;
use crate::plan::Attempt;

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// Where the manifests are from.
    pub source: String,
    /// What they are the state of: a commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// When they last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Why they cannot be read at present.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What is not right with the source.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// A line for each file, and for each VM whose file is gone.
    pub manifests: Vec<Line>,
    /// Files that hold something else than a VM.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<Ignored>,
}

/// One manifest and its VM.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// The file, relative to the source.
    pub file: String,
    /// The VM's uid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<Uid>,
    /// The VM's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the manifest wants: `running`, `stopped`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<&'static str>,
    /// The VM's state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    /// Its addresses, while it runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// How often it was started again.
    pub restarts: u64,
    /// What is being done with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<&'static str>,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<FaultLine>,
    /// When something is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt: Option<Timestamp>,
    /// What was done last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_action: Option<Action>,
}

/// What is wrong with a manifest or its VM.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultLine {
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    action: &'static str,
    time: Timestamp,
    result: &'static str,
}

/// A file that is not kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ignored {
    /// It.
    pub file: String,
    /// What it holds.
    pub kind: String,
}

impl From<&Fault> for FaultLine {
    fn from(fault: &Fault) -> Self {
        Self {
            message: fault.message.clone(),
            hint: fault.hint.clone(),
        }
    }
}

impl From<&Attempt> for Action {
    fn from(attempt: &Attempt) -> Self {
        Self {
            action: attempt.act.as_str(),
            time: attempt.at,
            result: match attempt.fault {
                None => "ok",
                Some(_) => "failed",
            },
        }
    }
}
