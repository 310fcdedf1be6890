//! Programs that were killed and are not dead yet: one that waits in the kernel, for a disk or a share that
//! does not answer (state D), dies when it may.
//!
//! They are looked at less and less often: nothing tells of their end that could be waited for in their
//! place, as their descriptors went with their channels.

use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitOptions, waitpid};

use crate::sys;

/// From a kill to the first look: what dies at all mostly does so at once.
const FIRST: Duration = Duration::from_millis(50);

/// Between two looks at those that do not.
const LAST: Duration = Duration::from_secs(1);

/// All of them.
#[derive(Debug, Default)]
pub struct Dying {
    children: Vec<Pid>,
    /// The next look, and how long after the one before it.
    next: Option<(Instant, Duration)>,
}

impl Dying {
    /// Takes those that were killed.
    pub fn extend(&mut self, killed: impl IntoIterator<Item = Pid>, now: Instant) {
        let before = self.children.len();
        self.children.extend(killed);
        if self.children.len() > before {
            self.next = Some((now + FIRST, FIRST));
        }
    }

    /// Kills a program, with those of its group.
    pub fn kill(&mut self, child: Pid, now: Instant) {
        sys::kill_group(child, libc::SIGKILL);
        self.extend(is_alive(&child).then_some(child), now);
    }

    /// When to look again.
    pub fn next(&self) -> Option<Instant> {
        self.next.map(|(at, _)| at)
    }

    /// Buries the dead, if it is time to look.
    pub fn look(&mut self, now: Instant) {
        let Some((_, pause)) = self.next.filter(|(at, _)| *at <= now) else {
            return;
        };
        self.children.retain(is_alive);
        let pause = (pause * 2).min(LAST);
        self.next = (!self.children.is_empty()).then_some((now + pause, pause));
    }

    /// How many are left now.
    pub fn count(&mut self) -> usize {
        self.children.retain(is_alive);
        if self.children.is_empty() {
            self.next = None;
        }
        self.children.len()
    }
}

/// Whether its end is still to come.
fn is_alive(child: &Pid) -> bool {
    matches!(waitpid(Some(*child), WaitOptions::NOHANG), Ok(None))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::super::child::tests::waiting;
    use super::*;

    fn until(dying: &mut Dying, left: usize) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while dying.count() != left {
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Looks as often as is asked for, from a time on; the pauses between the looks.
    fn pauses(dying: &mut Dying, mut now: Instant, looks: usize) -> Vec<Duration> {
        let look = |_| {
            let at = dying.next()?;
            let pause = at - std::mem::replace(&mut now, at);
            dying.look(at);
            Some(pause)
        };
        (0..looks).map_while(look).collect()
    }

    #[test]
    fn those_that_cannot_die_are_looked_at_less_and_less_often() {
        let (mut dying, now) = (Dying::default(), Instant::now());
        assert_eq!(dying.next(), None);
        let (first, its_input) = waiting();
        dying.extend([first], now);
        dying.look(now);
        let expected = [50, 100, 200, 400, 800, 1000, 1000];
        assert_eq!(
            pauses(&mut dying, now, 7),
            expected.map(Duration::from_millis)
        );
        // Another one is looked at soon.
        let later = now + Duration::from_secs(60);
        let (second, other_input) = waiting();
        dying.extend([second], later);
        assert_eq!(dying.next(), Some(later + FIRST));
        assert_eq!(dying.count(), 2);
        dying.extend([], later);
        assert_eq!(pauses(&mut dying, later, 2).len(), 2);
        drop((its_input, other_input));
        until(&mut dying, 0);
    }

    #[test]
    fn the_dead_are_buried_and_nobody_is_looked_for_any_more() {
        let mut dying = Dying::default();
        let ((first, its_input), (last, _input)) = (waiting(), waiting());
        dying.extend([first, last], Instant::now());
        drop(its_input);
        until(&mut dying, 1);
        assert!(dying.next().is_some());
        dying.look(Instant::now() + LAST);
        assert_eq!(dying.children.pop(), Some(last));
        dying.kill(last, Instant::now());
        until(&mut dying, 0);
        assert_eq!(dying.next(), None);
    }

    #[test]
    fn one_that_was_killed_is_kept_until_it_may_die() {
        let (killed, _input) = waiting();
        // Somebody holds what is left of it, as the kernel holds who waits for a disk.
        let number = killed.as_raw_nonzero().get();
        let mut holder = Command::new("cat");
        holder.stdin(Stdio::piped());
        sys::before_exec(&mut holder, move || sys::seize(number));
        let mut holder = holder.spawn().expect("root may trace anybody");
        let (mut dying, now) = (Dying::default(), Instant::now());
        dying.kill(killed, now);
        assert_eq!(pauses(&mut dying, now, 7).len(), 7);
        assert_eq!(dying.count(), 1);
        drop(holder.stdin.take());
        holder.wait().expect("it ends with its input");
        until(&mut dying, 0);
        assert_eq!(dying.next(), None);
    }
}
