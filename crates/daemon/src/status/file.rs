//! The file itself: written when something has changed, and not too often.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ignite_host::error::chain;
use ignite_host::fs::write_atomic;

use super::Document;

/// Time between two writes.
const PAUSE: Duration = Duration::from_secs(1);

/// Permission bits: everybody may read it.
const MODE: u32 = 0o644;

/// The status file.
#[derive(Debug)]
pub struct StatusFile {
    path: PathBuf,
    document: Document,
    /// When what has changed is written; none when nothing has.
    due: Option<Instant>,
    written: Option<Instant>,
}

impl StatusFile {
    /// Of a daemon that has not seen anything yet.
    pub fn new(path: PathBuf, source: &str) -> Self {
        let document = Document {
            source: source.to_owned(),
            ..Document::default()
        };
        Self {
            path,
            document,
            due: None,
            written: None,
        }
    }

    /// What there is to say now.
    pub fn set(&mut self, document: Document, now: Instant) {
        if document != self.document || self.written.is_none() {
            self.document = document;
            let next = self.written.map_or(now, |written| written + PAUSE);
            self.due.get_or_insert(next.max(now));
        }
    }

    /// When it is written.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// What is to be written now, if it is time.
    pub fn due_text(&mut self, now: Instant) -> Option<String> {
        self.due.filter(|due| *due <= now)?;
        (self.due, self.written) = (None, Some(now));
        Some(ignite_api::encode_json(&self.document) + "\n")
    }

    /// Writes it.
    pub fn write(&self, text: &str) {
        if let Err(error) = write_atomic(&self.path, text.as_bytes(), MODE) {
            tracing::warn!("the status file cannot be written: {}", chain(&error));
        }
    }

    /// A few words for the service manager.
    pub fn line(&self) -> String {
        let lines = &self.document.manifests;
        let count =
            |is: &dyn Fn(&super::Line) -> bool| lines.iter().filter(|line| is(line)).count();
        let all = count(&|line| line.state.is_some());
        let running = count(&|line| line.state == Some("running"));
        let faults = count(&|line| line.fault.is_some());
        format!("{all} VMs, {running} running, {faults} faults")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_when_something_changed_at_most_once_a_second() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("status.json");
        let now = Instant::now();
        let mut file = StatusFile::new(path.clone(), "a");
        let document = |error: &str| Document {
            error: Some(error.into()),
            ..Document::default()
        };
        file.set(document("one"), now);
        let text = file.due_text(now).expect("due");
        file.write(&text);
        assert_eq!(std::fs::read_to_string(&path).expect("written"), text);
        file.set(document("one"), now);
        assert_eq!(file.due(), None);
        file.set(document("two"), now);
        file.set(document("three"), now + PAUSE / 2);
        assert_eq!(file.due_text(now + PAUSE / 2), None);
        let text = file.due_text(now + PAUSE).expect("due");
        assert!(text.contains("three"), "{text}");
    }
}
