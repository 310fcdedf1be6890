//! Channels of clients on the one stream to the agent: a pure table that says where a frame goes.
//!
//! ```text
//!   client 7, channel 1 --.                  .-- agent, channel 1
//!   client 9, channel 1 ---+--- the table ---+-- agent, channel 2
//!   client 9, channel 2 --'                  '-- agent, channel 3
//! ```
//!
//! Grants pass through, so that a window reaches from end to end and what waits here for one channel
//! is never more than that window. Both ends are held to it: a guest that sends more than it may
//! loses its link, a client its connection.

use std::collections::BTreeMap;

use super::{Frame, INITIAL_WINDOW, Message};

/// Number of a client's connection, never used twice.
pub type ClientId = u64;

/// Channels of one client.
pub const CHANNELS_PER_CLIENT: usize = 4;

/// What is to be done about a frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Pass this to the agent.
    ToAgent(Frame),
    /// Pass this to a client.
    ToClient(ClientId, Frame),
    /// The client broke the protocol.
    DropClient(ClientId, &'static str),
    /// The guest broke the protocol.
    DropLink(&'static str),
    /// Nothing: the frame comes late, its channel is gone.
    Nothing,
}

#[derive(Debug)]
struct Channel {
    client: ClientId,
    number: u32,
    to_agent: Window,
    to_client: Window,
}

/// Bytes that may still be sent one way.
#[derive(Debug)]
struct Window(u32);

impl Window {
    fn spend(&mut self, bytes: usize) -> bool {
        match u32::try_from(bytes)
            .ok()
            .and_then(|bytes| self.0.checked_sub(bytes))
        {
            Some(left) => {
                self.0 = left;
                true
            }
            None => false,
        }
    }

    /// A grant is for bytes that were sent, so a window never grows past its first size.
    fn grant(&mut self, bytes: u32) -> bool {
        match self.0.checked_add(bytes) {
            Some(sum) if sum <= INITIAL_WINDOW && bytes > 0 => {
                self.0 = sum;
                true
            }
            _ => false,
        }
    }
}

/// The table.
#[derive(Debug, Default)]
pub struct Relay {
    channels: BTreeMap<u32, Channel>,
    last: u32,
}

impl Relay {
    /// A frame of a client's on a channel of its own (not 0).
    pub fn client_said(&mut self, client: ClientId, frame: Frame) -> Step {
        if let Message::Exec(_) = frame.message {
            return self.open(client, frame);
        }
        let Some((&number, channel)) = self
            .channels
            .iter_mut()
            .find(|(_, channel)| channel.client == client && channel.number == frame.channel)
        else {
            return Step::Nothing;
        };
        let kept = match &frame.message {
            Message::Stdin(data) => channel.to_agent.spend(data.len()),
            Message::Credit { bytes } => channel.to_client.grant(*bytes),
            Message::StdinEnd | Message::Signal { .. } | Message::Resize(_) => true,
            Message::Close | Message::Detach => {
                self.channels.remove(&number);
                true
            }
            _ => return Step::DropClient(client, "a message that is not a client's"),
        };
        if !kept {
            return Step::DropClient(client, "more data or credit than was agreed");
        }
        Step::ToAgent(Frame {
            channel: number,
            message: frame.message,
        })
    }

    fn open(&mut self, client: ClientId, frame: Frame) -> Step {
        let of_client = self
            .channels
            .values()
            .filter(|channel| channel.client == client);
        if of_client
            .clone()
            .any(|channel| channel.number == frame.channel)
        {
            return Step::DropClient(client, "a second program on one channel");
        }
        if of_client.count() == CHANNELS_PER_CLIENT {
            return Step::ToClient(
                client,
                refusal(frame.channel, "too many programs on one connection"),
            );
        }
        // A number comes again only after all others: what the agent still says of an old channel
        // cannot be taken for a new one's.
        let number = (1..=u32::MAX)
            .map(|step| self.last.wrapping_add(step))
            .find(|number| *number != 0 && !self.channels.contains_key(number))
            .expect("far fewer channels are open than there are numbers");
        self.last = number;
        self.channels.insert(
            number,
            Channel {
                client,
                number: frame.channel,
                to_agent: Window(INITIAL_WINDOW),
                to_client: Window(INITIAL_WINDOW),
            },
        );
        Step::ToAgent(Frame {
            channel: number,
            message: frame.message,
        })
    }

    /// A frame of the agent's on a channel (not 0).
    pub fn agent_said(&mut self, frame: Frame) -> Step {
        let Some(channel) = self.channels.get_mut(&frame.channel) else {
            return Step::Nothing;
        };
        let (client, number) = (channel.client, channel.number);
        let kept = match &frame.message {
            Message::Stdout(data) | Message::Stderr(data) => channel.to_client.spend(data.len()),
            Message::Credit { bytes } => channel.to_agent.grant(*bytes),
            Message::Exit { .. } | Message::Error { .. } => {
                self.channels.remove(&frame.channel);
                true
            }
            _ => return Step::DropLink("a message that is not an agent's"),
        };
        if !kept {
            return Step::DropLink("more data or credit than was agreed");
        }
        Step::ToClient(
            client,
            Frame {
                channel: number,
                message: frame.message,
            },
        )
    }

    /// Whether this channel of the client's is a program's.
    pub fn is_open(&self, client: ClientId, number: u32) -> bool {
        self.channels
            .values()
            .any(|channel| channel.client == client && channel.number == number)
    }

    /// Whether the client has a program running.
    pub fn has_channels(&self, client: ClientId) -> bool {
        self.channels
            .values()
            .any(|channel| channel.client == client)
    }

    /// The client is gone; what to tell the agent.
    pub fn client_gone(&mut self, client: ClientId) -> Vec<Frame> {
        let gone: Vec<u32> = self
            .channels
            .iter()
            .filter(|(_, channel)| channel.client == client)
            .map(|(&number, _)| number)
            .collect();
        gone.into_iter()
            .map(|channel| {
                self.channels.remove(&channel);
                Frame {
                    channel,
                    message: Message::Close,
                }
            })
            .collect()
    }

    /// Whether anybody has a program running.
    pub fn is_in_use(&self) -> bool {
        !self.channels.is_empty()
    }

    /// Nobody waits for the agent any longer: each channel as its client numbers it, and what to tell an
    /// agent that may hear it later.
    pub fn close_all(&mut self) -> Vec<(ClientId, u32, Frame)> {
        let close = |channel| Frame {
            channel,
            message: Message::Close,
        };
        std::mem::take(&mut self.channels)
            .into_iter()
            .map(|(number, channel)| (channel.client, channel.number, close(number)))
            .collect()
    }

    /// The agent is gone; what to tell the clients.
    pub fn agent_gone(&mut self, reason: &str) -> Vec<(ClientId, Frame)> {
        std::mem::take(&mut self.channels)
            .into_values()
            .map(|channel| (channel.client, refusal(channel.number, reason)))
            .collect()
    }
}

/// An answer to a request that failed.
pub fn refusal(channel: u32, message: &str) -> Frame {
    Frame {
        channel,
        message: Message::Error {
            message: message.to_owned(),
            hint: None,
        },
    }
}

#[cfg(test)]
mod tests;
