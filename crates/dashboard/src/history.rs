//! What was used over the last minutes, for whoever looks next.

use std::collections::VecDeque;
use std::sync::Arc;

/// Seconds that are shown.
const POINTS: usize = 300;

/// Most bytes that are kept; where there are very many VMs, fewer seconds are.
const BYTES: usize = 4 << 20;

/// Points as they are sent, oldest first.
#[derive(Debug, Default)]
pub struct History {
    points: VecDeque<Arc<str>>,
    bytes: usize,
}

impl History {
    /// Adds the newest one.
    pub fn push(&mut self, point: Arc<str>) {
        self.bytes += point.len();
        self.points.push_back(point);
        while self.points.len() > POINTS || (self.bytes > BYTES && self.points.len() > 1) {
            let oldest = self.points.pop_front();
            self.bytes -= oldest.map_or(0, |point| point.len());
        }
    }

    /// All of them as a list.
    pub fn to_json(&self) -> String {
        let points: Vec<&str> = self.points.iter().map(AsRef::as_ref).collect();
        format!("[{}]", points.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_are_kept_and_no_more() {
        let mut history = History::default();
        assert_eq!(history.to_json(), "[]");
        for number in 0..POINTS + 5 {
            history.push(number.to_string().into());
        }
        let json = history.to_json();
        assert!(
            json.starts_with("[5,6,") && json.ends_with(",304]"),
            "{json}"
        );
    }

    #[test]
    fn bytes_are_bounded() {
        let mut history = History::default();
        for _ in 0..20 {
            history.push("x".repeat(1 << 20).into());
        }
        assert!(history.to_json().len() <= BYTES + 10);
        history.push("y".repeat(BYTES + 1).into());
        assert!(history.to_json().starts_with("[y"));
    }
}
