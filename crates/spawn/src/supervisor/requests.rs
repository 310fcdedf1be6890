//! Requests of clients that the VMM has to answer first: who waits for which.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ignite_vmm::Request;

use ignite_wire::agent::relay::ClientId;

/// A VMM answers at once, or hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// Requests under way at one time; a client that sends more than it waits for is refused.
const MOST: usize = 16;

/// One request to the VMM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pending {
    /// What it was asked for.
    pub request: Request,
    /// Who waits; none where the supervisor itself asked.
    pub client: Option<ClientId>,
    until: Instant,
}

/// All of them, in their order.
#[derive(Debug, Default)]
pub(super) struct Requests(VecDeque<Pending>);

impl Requests {
    /// Whether there is room for one more of a client.
    pub fn is_full(&self) -> bool {
        self.0.len() >= MOST
    }

    /// One more. What the supervisor asks of a VMM that answers nothing is forgotten past the bound.
    pub fn push(&mut self, request: Request, client: Option<ClientId>, now: Instant) {
        if !self.is_full() {
            self.0.push_back(Pending {
                request,
                client,
                until: now + PATIENCE,
            });
        }
    }

    /// The one that an answer to `request` is for: the oldest of its kind.
    pub fn answered(&mut self, request: Request) -> Option<Pending> {
        let oldest = self.0.iter().position(|it| it.request == request);
        self.0.remove(oldest?)
    }

    /// When the first client has waited long enough.
    pub fn next(&self) -> Option<Instant> {
        let waited_for = self.0.iter().filter(|it| it.client.is_some());
        waited_for.map(|it| it.until).min()
    }

    /// A client that has waited long enough, and for what. Its request keeps its place: an answer may
    /// still come.
    pub fn overdue(&mut self, now: Instant) -> Option<(ClientId, Request)> {
        let mut late = self.0.iter_mut().filter(|it| it.until <= now);
        late.find_map(|it| Some((it.client.take()?, it.request)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_go_to_the_oldest_of_their_kind() {
        let now = Instant::now();
        let mut requests = Requests::default();
        for (request, client) in [
            (Request::Pause, Some(1)),
            (Request::Resume, None),
            (Request::Pause, Some(2)),
        ] {
            requests.push(request, client, now);
        }
        let mut who = |request| requests.answered(request).map(|it| it.client);
        assert_eq!(who(Request::Pause), Some(Some(1)));
        assert_eq!(who(Request::Pause), Some(Some(2)));
        assert_eq!(who(Request::Pause), None);
        assert_eq!(who(Request::LimitDisk), None);
        assert_eq!(who(Request::Resume), Some(None));
        assert_eq!(requests.next(), None);
    }

    #[test]
    fn nobody_waits_for_ever_and_not_too_many_at_all() {
        let now = Instant::now();
        let mut requests = Requests::default();
        while !requests.is_full() {
            requests.push(Request::Pause, Some(1), now);
        }
        requests.push(Request::Pause, None, now);
        assert_eq!(requests.0.len(), MOST);
        assert_eq!(requests.next(), Some(now + PATIENCE));
        assert_eq!(requests.overdue(now), None);
        let overdue = std::iter::from_fn(|| requests.overdue(now + PATIENCE));
        assert_eq!(overdue.count(), MOST);
        assert_eq!(requests.next(), None);
        let late = requests.answered(Request::Pause).expect("in its place");
        assert_eq!(late.client, None);
    }
}
