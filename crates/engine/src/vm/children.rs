//! The supervisors this process has started. They are its children, though they outlive it as a rule:
//! where it goes on, as a daemon does, it takes those that ended off the process table.

use std::sync::{Mutex, PoisonError};

use ignite_host::process::Child;

static CHILDREN: Mutex<Vec<Child>> = Mutex::new(Vec::new());

/// Remembers a supervisor whose VM runs.
pub(super) fn keep(child: Child) {
    CHILDREN
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(child);
}

/// Takes those that ended off the process table.
pub(crate) fn reap() {
    let mut children = CHILDREN.lock().unwrap_or_else(PoisonError::into_inner);
    // One that cannot be waited for is nobody's to wait for.
    children.retain(|child| matches!(child.try_wait(), Ok(None)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use ignite_host::process::{Spec, spawn};
    use std::time::{Duration, Instant};

    #[test]
    fn one_that_ended_leaves_the_process_table() {
        let child = spawn(Spec::new("/bin/true")).expect("started");
        let entry = format!("/proc/{}", child.pid());
        keep(child);
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::path::Path::new(&entry).exists() {
            assert!(Instant::now() < deadline, "{entry} is still there");
            reap();
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
