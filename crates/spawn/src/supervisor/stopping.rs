//! An order to shut down: the agent is asked, then the machine's button is pressed, and in the end the
//! VMM is ended.
//!
//! ```text
//!   order                      agent's part over        button           grace over
//!     |---- asks, then kills ----------|---- powers off ----|---- goes -------| the VMM is ended
//!     '---- no agent: button at once; one that comes later is asked, with what is left of its part
//! ```

use std::time::{Duration, Instant};

use ignite_wire::agent::{Frame, Message};

use super::Supervisor;

/// At most that much of a grace period is kept for the guest's own powering off.
const LAST_PART: Duration = Duration::from_secs(3);

/// What has become of the order.
#[derive(Debug, Default)]
pub(super) struct Stopping {
    /// The end of the agent's part; none has no end.
    until: Option<Instant>,
    /// The agent that is there knows.
    told: bool,
}

impl Stopping {
    /// Another agent may come, and knows nothing.
    pub fn forgotten(&mut self) {
        self.told = false;
    }
}

impl Supervisor<'_> {
    /// Asks the guest to shut down; past `grace` the VMM is ended.
    pub(super) fn stop(&mut self, grace: Duration) {
        if self.evidence.verdict.is_some() {
            return;
        }
        let now = Instant::now();
        let kept = LAST_PART.min(grace / 4);
        // A time past the end of the clock is no time limit.
        if let Some(at) = now.checked_add(grace) {
            self.deadlines.grace(at);
            // An agent whose part is over powers the guest off in a moment, or not at all.
            self.deadlines.button(at - kept / 2);
        }
        if self.evidence.stopping {
            return;
        }
        self.evidence.stopping = true;
        if self.standstill.is_wanted() {
            self.go_on(None);
        }
        // What the agent kills at the end of its part can still be unmounted in the rest.
        self.stopping.until = now.checked_add(grace - kept);
        self.tell_agent_to_stop();
        if !self.stopping.told {
            self.parts.driver.power_button();
        }
    }

    /// Passes the order on to an agent that does not know of it.
    pub(super) fn tell_agent_to_stop(&mut self) {
        if !self.evidence.stopping || self.stopping.told {
            return;
        }
        let left = |at: Instant| at.saturating_duration_since(Instant::now());
        let grace = self.stopping.until.map_or(Duration::MAX, left);
        let grace_ms = grace.as_millis().try_into().unwrap_or(u64::MAX);
        self.stopping.told = self.tell_agent(&Frame::link(Message::Shutdown { grace_ms }));
    }
}
