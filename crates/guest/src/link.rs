//! Between the agent and PID 1: one socket, fixed messages. It ends where the image's init begins.
//!
//! ```text
//!   agent                    init (PID 1)
//!     |<------------------- token |   what the agent proves itself with to the supervisor
//!     | Ready ------------------->|   the supervisor knows that the guest is up
//!     |<---------------- Complete |   the root is as programs expect it
//!     | Stop(grace) ------------->|   the supervisor asks for a shutdown
//!     |<-------------- Ended(code)|   the command ended
//!     |<-------------- Going(how) |   the guest goes down now
//!     | Told -------------------->|   the supervisor knows
//! ```

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use ignite_host::signal::{PollFd, PollFlags, poll};
use ignite_wire::agent::PowerAction;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair,
};

const MESSAGE_LEN: usize = 9;

/// Longest token in bytes.
const MAX_TOKEN: usize = 64;

/// What the two tell each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// Agent: the supervisor has been told that the guest is up.
    Ready,
    /// Init: nothing is missing from the root any more.
    Complete,
    /// Agent: end the command; kill it past that many milliseconds.
    Stop(u64),
    /// Init: the command ended with this code.
    Ended(i32),
    /// Init: the guest goes down.
    Going(PowerAction),
    /// Agent: what init said last has been passed on.
    Told,
}

/// Two connected ends. Messages stay whole (`SOCK_SEQPACKET`); no end ever blocks.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        flags,
        None,
    )?)
}

/// Sends the agent its token, before anything else: what a program is started with can be read by
/// every other.
pub fn give_token(socket: impl AsFd, token: &str) -> io::Result<()> {
    // Never empty, which would look like the end.
    let bytes = [b" ", token.as_bytes()].concat();
    send(socket, &bytes, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The token, which was given before the agent was started.
pub fn take_token(socket: impl AsFd) -> io::Result<Vec<u8>> {
    let mut bytes = [0; 1 + MAX_TOKEN];
    let (length, _) = recv(socket, &mut bytes, RecvFlags::empty())?;
    Ok(bytes[..length].iter().skip(1).copied().collect())
}

/// Sends a message; the other end may be gone.
pub fn tell(socket: impl AsFd, message: Message) -> io::Result<()> {
    send(socket, &encode(message), SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Waits for one message, whatever else comes before it; whether it came. It does not once the other
/// end is gone, or the limit has passed.
pub fn wait_for(message: Message, socket: impl AsFd, limit: Option<Duration>) -> bool {
    let deadline = limit.map(|limit| Instant::now() + limit);
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let mut fds = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN)];
        let ready = poll(&mut fds, left);
        match hear(&socket) {
            Ok(Some(heard)) if heard == message => return true,
            Ok(Some(_)) => {}
            Ok(None) if ready.is_ok_and(|ready| ready > 0) => {}
            Ok(None) | Err(_) => return false,
        }
    }
}

/// The next message, if one is there. An error means the other end is gone.
pub fn hear(socket: impl AsFd) -> io::Result<Option<Message>> {
    let mut bytes = [0; MESSAGE_LEN];
    match recv(socket, &mut bytes, RecvFlags::empty()) {
        Ok((MESSAGE_LEN, _)) => Ok(decode(bytes)),
        Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn encode(message: Message) -> [u8; MESSAGE_LEN] {
    let (kind, value) = match message {
        Message::Stop(grace) => (0, grace),
        Message::Ended(code) => (1, u64::from(code.cast_unsigned())),
        Message::Going(PowerAction::PowerOff) => (2, 0),
        Message::Going(PowerAction::Halt) => (2, 1),
        Message::Going(PowerAction::Reboot) => (2, 2),
        Message::Told => (3, 0),
        Message::Ready => (4, 0),
        Message::Complete => (5, 0),
    };
    let mut bytes = [kind; MESSAGE_LEN];
    bytes[1..].copy_from_slice(&value.to_ne_bytes());
    bytes
}

fn decode([kind, value @ ..]: [u8; MESSAGE_LEN]) -> Option<Message> {
    let value = u64::from_ne_bytes(value);
    Some(match (kind, value) {
        (0, grace) => Message::Stop(grace),
        (1, code) => Message::Ended((code as u32).cast_signed()),
        (2, 0) => Message::Going(PowerAction::PowerOff),
        (2, 1) => Message::Going(PowerAction::Halt),
        (2, 2) => Message::Going(PowerAction::Reboot),
        (3, _) => Message::Told,
        (4, _) => Message::Ready,
        (5, _) => Message::Complete,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_goes_before_the_messages() {
        let (one, other) = pair().expect("a pair of sockets");
        for token in ["t0ken", ""] {
            give_token(&one, token).expect("the other end is there");
            tell(&one, Message::Complete).expect("the other end is there");
            assert_eq!(take_token(&other).expect("it was given"), token.as_bytes());
            assert_eq!(hear(&other).expect("so is this"), Some(Message::Complete));
        }
        assert!(take_token(&other).is_err(), "nobody waits for it");
    }

    #[test]
    fn what_is_told_is_heard() {
        let (one, other) = pair().expect("a pair of sockets");
        let messages = [
            Message::Stop(u64::MAX),
            Message::Ended(-1),
            Message::Going(PowerAction::PowerOff),
            Message::Going(PowerAction::Halt),
            Message::Going(PowerAction::Reboot),
            Message::Told,
            Message::Ready,
            Message::Complete,
        ];
        for message in messages {
            tell(&one, message).expect("the other end is there");
            assert_eq!(hear(&other).expect("so is this one"), Some(message));
        }
        assert_eq!(hear(&other).expect("nothing is no error"), None);
        drop(one);
        assert!(hear(&other).is_err());
    }

    #[test]
    fn one_message_is_waited_for() {
        const SHORT: Option<Duration> = Some(Duration::from_millis(5));
        let (one, other) = pair().expect("a pair of sockets");
        for message in [Message::Stop(1), Message::Complete] {
            tell(&one, message).expect("the other end is there");
        }
        assert!(wait_for(Message::Complete, &other, SHORT));
        assert!(!wait_for(Message::Complete, &other, SHORT));
        drop(one);
        assert!(!wait_for(Message::Complete, &other, None));
    }
}
