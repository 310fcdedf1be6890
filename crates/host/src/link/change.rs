//! Changes of neighbours, forwarding entries and routes as values, applied many at a time.
//!
//! A host with a thousand peers has three of them for each; sent one by one they would cost a round
//! trip each.

use std::fmt;

use netlink_packet_core::Emitable;
use netlink_packet_route::neighbour::NeighbourMessage;
use netlink_packet_route::route::RouteMessage;

use super::neighbour::{forwarding_message, neighbour_message};
use super::{Error, Forwarding, Neighbour, Netlink, Route, route};
use crate::netlink::Refusal;

/// One change. What is set takes the place of what is there under the same key: address, MAC address,
/// or destination and metric. What is deleted and not there is fine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Sets a permanent neighbour.
    SetNeighbour(Neighbour),
    /// Takes a neighbour away.
    DeleteNeighbour(Neighbour),
    /// Sets where a MAC address is.
    SetForwarding(Forwarding),
    /// Takes a forwarding entry away.
    DeleteForwarding(Forwarding),
    /// Sets a route.
    SetRoute(Route),
    /// Takes a route away: the very one, with its gateway, interface, protocol and scope.
    DeleteRoute(Route),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetNeighbour(neighbour) => write!(f, "set the neighbour {neighbour}"),
            Self::DeleteNeighbour(neighbour) => write!(f, "delete the neighbour {neighbour}"),
            Self::SetForwarding(entry) => write!(f, "forward {entry}"),
            Self::DeleteForwarding(entry) => write!(f, "stop to forward {entry}"),
            Self::SetRoute(route) => write!(f, "set the route {route}"),
            Self::DeleteRoute(route) => write!(f, "delete the route {route}"),
        }
    }
}

impl Change {
    /// What takes back a change that was made: nothing does where something is deleted.
    pub fn undo(&self) -> Option<Self> {
        match self {
            Self::SetNeighbour(neighbour) => Some(Self::DeleteNeighbour(*neighbour)),
            Self::SetForwarding(entry) => Some(Self::DeleteForwarding(*entry)),
            Self::SetRoute(route) => Some(Self::DeleteRoute(route.clone())),
            Self::DeleteNeighbour(_) | Self::DeleteForwarding(_) | Self::DeleteRoute(_) => None,
        }
    }

    fn request(&self) -> (u16, i32, Message) {
        const SET: i32 = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
        let neighbour = |neighbour| Message::Neighbour(neighbour_message(neighbour));
        let forwarding = |entry| Message::Neighbour(forwarding_message(entry));
        let route = |route| Message::Route(route::message(route));
        match self {
            Self::SetNeighbour(value) => (libc::RTM_NEWNEIGH, SET, neighbour(value)),
            Self::DeleteNeighbour(value) => (libc::RTM_DELNEIGH, 0, neighbour(value)),
            Self::SetForwarding(value) => (libc::RTM_NEWNEIGH, SET, forwarding(value)),
            Self::DeleteForwarding(value) => (libc::RTM_DELNEIGH, 0, forwarding(value)),
            Self::SetRoute(value) => (libc::RTM_NEWROUTE, SET, route(value)),
            Self::DeleteRoute(value) => (libc::RTM_DELROUTE, 0, route(value)),
        }
    }

    fn outcome(&self, result: Result<(), Refusal>) -> Result<(), Error> {
        const ABSENT: [i32; 3] = [libc::ENOENT, libc::ESRCH, libc::ENODEV];
        match result {
            Err(refusal)
                if self.undo().is_none()
                    && refusal.errno().is_some_and(|errno| ABSENT.contains(&errno)) =>
            {
                Ok(())
            }
            result => result.map_err(|refusal| Error::new(self.to_string(), refusal)),
        }
    }
}

impl Netlink {
    /// Makes one change.
    pub fn change(&self, change: &Change) -> Result<(), Error> {
        let (kind, flags, message) = change.request();
        change.outcome(self.socket.change(kind, flags, &message))
    }

    /// Makes all changes in order; one result for each. A refused one does not keep the later ones.
    pub fn change_all(&self, changes: &[Change]) -> Vec<Result<(), Error>> {
        let requests: Vec<_> = changes.iter().map(Change::request).collect();
        let results = self.socket.change_all(&requests);
        (changes.iter().zip(results))
            .map(|(change, result)| change.outcome(result))
            .collect()
    }
}

enum Message {
    Neighbour(NeighbourMessage),
    Route(RouteMessage),
}

impl Emitable for Message {
    fn buffer_len(&self) -> usize {
        match self {
            Self::Neighbour(message) => message.buffer_len(),
            Self::Route(message) => message.buffer_len(),
        }
    }

    fn emit(&self, buffer: &mut [u8]) {
        match self {
            Self::Neighbour(message) => message.emit(buffer),
            Self::Route(message) => message.emit(buffer),
        }
    }
}
