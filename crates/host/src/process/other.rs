//! A process that is nobody's child here, watched for its end.
//!
//! A number alone says nothing: the process may have ended, and its number be another's by now. With
//! the time it began it is known.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::error::Context;
use crate::error::SystemError;
use crate::signal::{PollFd, PollFlags, poll};

/// When the process began, in clock ticks since the host did: field 22 of `/proc/<pid>/stat`. None
/// where there is none, or where it has ended and waits to be noticed.
pub fn start_time(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind the command's name in brackets, which may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Whether a process that is still there, and holds what it has, is at its end: killed, or on its way out.
pub fn is_ending(pid: i32) -> bool {
    let told = |file| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    is_exiting(&told("stat")) || is_killed(&told("status"))
}

/// `PF_EXITING` (linux/sched.h) in field 9 of `/proc/<pid>/stat`.
fn is_exiting(stat: &str) -> bool {
    const PF_EXITING: u64 = 4;
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let flags = rest.split_whitespace().nth(9 - 3);
    flags.is_some_and(|flags| {
        flags
            .parse()
            .is_ok_and(|flags: u64| flags & PF_EXITING != 0)
    })
}

/// Whether SIGKILL is among the signals that `/proc/<pid>/status` says are on their way.
fn is_killed(status: &str) -> bool {
    const KILL: u64 = 1 << (9 - 1);
    let pending = |line: &str| {
        let set = line
            .strip_prefix("SigPnd:")
            .or_else(|| line.strip_prefix("ShdPnd:"))?;
        u64::from_str_radix(set.trim(), 16).ok()
    };
    let mut pending = status.lines().filter_map(pending);
    pending.any(|set| set & KILL != 0)
}

/// Processor time and resident memory of a process and its threads; none where it is gone.
///
/// `/proc/<pid>/stat`: fields 14 and 15 are clock ticks, 24 is pages.
pub fn usage(pid: i32) -> Option<(Duration, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let ticks = number(14)?.saturating_add(number(15)?);
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let page = rustix::param::page_size() as u64;
    Some((
        Duration::from_millis(ticks.saturating_mul(1000) / per_second),
        number(24)?.saturating_mul(page),
    ))
}

/// A process held by its pidfd.
#[derive(Debug)]
pub struct Watched {
    pidfd: OwnedFd,
}

impl Watched {
    /// Holds the process with this number that began at this time; none where it has ended.
    pub fn open(pid: i32, begun: u64) -> Result<Option<Self>, SystemError> {
        let Some(number) = Pid::from_raw(pid) else {
            return Ok(None);
        };
        let pidfd = match pidfd_open(number, PidfdFlags::empty()) {
            // INVAL: the number is a thread's by now.
            Err(Errno::SRCH | Errno::INVAL) => return Ok(None),
            opened => opened.context(|| format!("watch process {pid}"))?,
        };
        // Asked while it is held: the number cannot change hands in between unseen.
        Ok((start_time(pid) == Some(begun)).then_some(Self { pidfd }))
    }

    /// Whether it has ended by now. A kernel that does not say is taken for a no.
    pub fn has_ended(&self) -> bool {
        let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let asked = poll(&mut fds, Some(Duration::ZERO));
        asked.is_ok() && !fds[0].revents().is_empty()
    }
}

impl AsFd for Watched {
    /// Readable once the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Spec, spawn};

    #[test]
    fn is_known_by_its_beginning_and_seen_to_end() {
        let child = spawn(Spec::new("sleep").arg("60")).expect("a process");
        let pid = i32::try_from(child.pid()).expect("a number");
        let begun = start_time(pid).expect("it lives");
        assert!(Watched::open(pid, begun + 1).expect("asked").is_none());
        let watched = Watched::open(pid, begun).expect("asked").expect("it lives");
        let ended = |limit| {
            let mut fds = [PollFd::new(&watched, PollFlags::IN)];
            poll(&mut fds, Some(limit)).expect("waited");
            !fds[0].revents().is_empty()
        };
        assert!(!ended(Duration::ZERO) && !watched.has_ended());
        child.signal(9).expect("signalled");
        assert!(ended(Duration::from_secs(30)) && watched.has_ended());
        // Before and after somebody took notice of its end.
        assert!(Watched::open(pid, begun).expect("asked").is_none());
        child.wait().expect("waited");
        assert!(Watched::open(pid, begun).expect("asked").is_none());
    }

    /// As Linux writes it of one that was killed while it had no turn, and of one on its way out.
    #[test]
    fn one_at_its_end_is_told_from_one_that_lives() {
        let stat = |flags| format!("7 (a) b) R 1 7 7 0 -1 {flags} 0 0 0 0 1 2");
        assert!(is_exiting(&stat("4228100")) && !is_exiting(&stat("4194560")));
        assert!(!is_exiting("7 (a) R 1") && !is_exiting(""));
        let status = |of_thread, of_all| {
            format!("Name:\ta\nSigPnd:\t{of_thread}\nShdPnd:\t{of_all}\nSigBlk:\t0100\n")
        };
        assert!(is_killed(&status("0000000000000100", "0000000000000000")));
        assert!(is_killed(&status("0000000000000000", "0000000000004100")));
        assert!(!is_killed(&status("0000000000000000", "0000000000004000")));
        let own = i32::try_from(std::process::id()).expect("a number");
        assert!(!is_ending(own) && !is_ending(i32::MAX));
    }

    #[test]
    fn what_a_process_has_used_is_told() {
        let own = i32::try_from(std::process::id()).expect("a number");
        let (_, memory) = usage(own).expect("it lives");
        assert!(memory > 4096, "{memory}");
        assert_eq!(usage(i32::MAX), None);
    }

    #[test]
    fn a_number_that_is_none_is_no_process() {
        assert!(Watched::open(0, 1).expect("asked").is_none());
        assert!(Watched::open(i32::MAX, 1).expect("asked").is_none());
        assert_eq!(start_time(-1), None);
    }
}
