//! Progress bars, one line for each step under way.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

const TICK: Duration = Duration::from_millis(120);

/// The bars on standard error.
#[derive(Debug)]
pub struct Bars {
    all: MultiProgress,
    by_id: Mutex<HashMap<String, ProgressBar>>,
}

impl Bars {
    /// No bar yet.
    pub fn new() -> Self {
        Self {
            all: MultiProgress::new(),
            by_id: Mutex::default(),
        }
    }

    /// Adds a bar, or a spinner where the size is not known.
    pub fn begin(&self, id: &str, label: &str, total: Option<u64>) {
        let bar = match total {
            Some(total) => ProgressBar::new(total).with_style(sized()),
            None => ProgressBar::new_spinner().with_style(unsized_style()),
        };
        let bar = self.all.add(bar.with_message(label.to_owned()));
        bar.enable_steady_tick(TICK);
        if let Some(before) = self.bars().insert(id.to_owned(), bar) {
            before.finish_and_clear();
        }
    }

    /// Moves a bar on.
    pub fn advance(&self, id: &str, bytes: u64) {
        if let Some(bar) = self.bars().get(id) {
            bar.inc(bytes);
        }
    }

    /// Takes a bar away.
    pub fn end(&self, id: &str) {
        if let Some(bar) = self.bars().remove(id) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }

    /// Writes something while no bar is drawn.
    pub fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.all.suspend(write)
    }

    fn bars(&self) -> MutexGuard<'_, HashMap<String, ProgressBar>> {
        // A thread that panicked left at worst a bar too many.
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sized() -> ProgressStyle {
    style("{msg:40!} [{bar:24}] {binary_bytes:>10} of {binary_total_bytes:<10} {eta:>4}")
        .progress_chars("=> ")
}

fn unsized_style() -> ProgressStyle {
    style("{msg:40!} {spinner} {binary_bytes:>10}")
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates above are well formed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_come_and_go() {
        let bars = Bars::new();
        bars.begin("a", "layer", Some(10));
        bars.begin("b", "unpacking", None);
        bars.begin("a", "layer again", Some(10));
        bars.advance("a", 5);
        bars.advance("unknown", 5);
        bars.end("a");
        bars.end("b");
        bars.end("b");
        assert!(bars.bars().is_empty());
    }
}
