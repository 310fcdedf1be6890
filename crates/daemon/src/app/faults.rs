//! What is wrong, each thing said once, and again when it has changed.

use std::collections::BTreeMap;

use super::App;
use crate::desired::Fault;
use crate::plan::pair;

/// What was said last, by file.
#[derive(Debug, Default)]
pub struct Faults {
    said: BTreeMap<String, Fault>,
    ignored: BTreeMap<String, String>,
}

impl Faults {
    /// All that is wrong, by file.
    pub fn now(&self) -> &BTreeMap<String, Fault> {
        &self.said
    }

    /// Says what is new; `pending` files are being worked on, and what was wrong with them stays so.
    fn say(&mut self, mut now: BTreeMap<String, Fault>, pending: &[&str]) {
        for file in pending {
            if let (false, Some(fault)) = (now.contains_key(*file), self.said.get(*file)) {
                now.insert((*file).to_owned(), fault.clone());
            }
        }
        for (file, fault) in &now {
            if self.said.get(file) != Some(fault) {
                let hint = fault.hint.iter().map(|hint| format!("; {hint}"));
                let text = format!("{file}: {fault}{}", hint.collect::<String>());
                tracing::warn!("{}", line(&text));
            }
        }
        for file in self.said.keys().filter(|file| !now.contains_key(*file)) {
            tracing::info!("{}: nothing is wrong any more", line(file));
        }
        self.said = now;
    }

    /// Says which files hold something else than a VM.
    fn say_ignored(&mut self, now: &BTreeMap<String, String>) {
        for (file, kind) in now {
            if self.ignored.get(file) != Some(kind) {
                let file = line(file);
                tracing::warn!("{file}: only VMs are kept, and this is of kind {kind}: ignored");
            }
        }
        self.ignored.clone_from(now);
    }
}

/// A text as one line: what a stranger wrote must not look like another one.
fn line(text: &str) -> String {
    let shown = text.chars().map(|c| match c {
        '\n' => ' '.into(),
        c if c.is_control() => c.escape_unicode().to_string(),
        c => c.to_string(),
    });
    shown.collect()
}

impl App {
    /// Says what is wrong now.
    pub(super) fn tell_faults(&mut self) {
        let mut now = self.desired.faults.clone();
        let mut pending = Vec::new();
        let pairs = pair(&self.desired, &self.actual.kept);
        for (wanted, kept) in &pairs.wanted {
            let last = self
                .memories
                .find(&wanted.key)
                .and_then(|it| it.last.as_ref());
            if let Some(fault) = last.and_then(|last| last.fault.as_ref()) {
                now.insert(wanted.file.clone(), fault.clone());
            }
            if let Some(fault) = self.plan.faults.get(&wanted.file) {
                now.insert(wanted.file.clone(), fault.clone());
            }
            if self
                .work
                .on(&wanted.key, kept.map(|kept| kept.uid))
                .is_some()
            {
                pending.push(wanted.file.as_str());
            }
        }
        for kept in &pairs.unclaimed {
            let key = crate::desired::Key::Uid(kept.uid);
            let last = self.memories.find(&key).and_then(|it| it.last.as_ref());
            let last = last.and_then(|last| last.fault.as_ref());
            let planned = self.plan.faults.get(&kept.managed.file);
            if let Some(fault) = last.or(planned) {
                now.entry(kept.managed.file.clone())
                    .or_insert_with(|| fault.clone());
            }
        }
        self.faults.say(now, &pending);
        self.faults.say_ignored(&self.desired.ignored);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_write_no_lines_of_their_own() {
        assert_eq!(line("a\nERROR b\u{1b}[31m"), "a ERROR b\\u{1b}[31m");
    }
}
