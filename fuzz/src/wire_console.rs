//! The index of a console's log: a file that may be cut, stale or garbage.

use ignite_wire::console::Times;

/// What is read is in order, and is read again as it was.
pub fn run(bytes: &[u8]) {
    let Some(times) = Times::parse(bytes) else {
        return;
    };
    assert_eq!(Times::parse(&times.to_bytes()), Some(times.clone()));
    for time in [i64::MIN, 0, i64::MAX] {
        if let Some(offset) = times.since(time) {
            assert!(times.at(offset).is_some_and(|at| at >= time));
        }
    }
    let mut cut = times.clone();
    cut.cut(1, times.base.saturating_add(100));
    cut.thin();
    assert!(cut.len() <= times.len());
}
