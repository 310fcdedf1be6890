//! One file's text: a VM, something else, or a fault.

use std::sync::Arc;

use ignite_api::{Manifest, ManifestError, Positions, Uid, Vm, VmSpec, decode_over, validate};

use super::Fault;

/// Most lines in which a broken manifest is searched for what it is about.
const MAX_LINES: usize = 20_000;

/// What one file says.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// A VM, valid and with an identity.
    Vm(Arc<Vm>),
    /// An object of another kind.
    Other(String),
    /// Nothing that could be acted on.
    Fault {
        /// Why.
        fault: Fault,
        /// Which VMs it seems to be about.
        mentions: Mentions,
    },
}

/// Uids and names that stand in a text, whether or not it makes sense.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mentions {
    /// The uids.
    pub uids: Vec<Uid>,
    /// The names.
    pub names: Vec<String>,
}

/// Reads a manifest; what it does not say is as in `defaults`.
pub fn read(text: &str, defaults: &VmSpec) -> Reading {
    match vm(text, defaults) {
        Ok(reading) => reading,
        Err(fault) => Reading::Fault {
            fault,
            mentions: mentions(text),
        },
    }
}

fn vm(text: &str, defaults: &VmSpec) -> Result<Reading, Fault> {
    let vm = match decode_over(text, defaults).map_err(|error| refused(&error))? {
        Manifest::Vm(vm) => vm,
        Manifest::Image(_) => return Ok(Reading::Other("Image".into())),
        Manifest::Kernel(_) => return Ok(Reading::Other("Kernel".into())),
        Manifest::Configuration(_) => return Ok(Reading::Other("Configuration".into())),
    };
    validate(&vm).map_err(|faults| {
        let positions = Positions::read(text);
        let place = |fault: &ignite_api::Fault| match positions.of(&fault.path) {
            Some(position) => format!("{fault} at {position}"),
            None => fault.to_string(),
        };
        let lines: Vec<String> = faults.iter().map(place).collect();
        Fault::new(lines.join("; "))
    })?;
    if vm.metadata.uid.is_none() && vm.metadata.name.is_empty() {
        return Err(Fault::new(
            "metadata: it has neither a uid nor a name, by which its VM would be known",
        )
        .with_hint("give it a name: `metadata: {name: web}`"));
    }
    Ok(Reading::Vm(Arc::from(vm)))
}

fn refused(error: &ManifestError) -> Fault {
    Fault {
        hint: error.hint(),
        ..Fault::new(ignite_host::error::chain(error))
    }
}

/// Looks for lines such as `uid: 0123456789abcdef`, in YAML or JSON.
fn mentions(text: &str) -> Mentions {
    let mut found = Mentions::default();
    let words = text
        .lines()
        .take(MAX_LINES)
        .flat_map(|line| line.split(['{', '}', ',']));
    for (key, value) in words.filter_map(|word| word.split_once(':')) {
        let bare = |text: &str| {
            let text = text.split(" #").next().unwrap_or_default();
            text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '-'))
                .to_owned()
        };
        match bare(key).as_str() {
            "uid" => found.uids.extend(bare(value).parse::<Uid>().ok()),
            "name" => found.names.push(bare(value)),
            _ => {}
        }
    }
    found
}
