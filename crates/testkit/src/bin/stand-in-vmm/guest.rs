//! The agent of a guest that is not there.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

use ignite_wire::agent::{Decoder, ExitStatus, Frame, Message, PowerAction, VERSION};

use super::Failure;

/// What the guest wants of its machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// It powers itself off.
    PowerOff,
}

/// The agent.
pub struct Guest {
    stream: UnixStream,
    decoder: Decoder,
    up: bool,
}

impl Guest {
    pub fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            decoder: Decoder::new(),
            up: false,
        }
    }

    /// Readable when somebody speaks to the agent.
    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Whether it was started.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// Proves with the token that it is the agent, and says that the guest is ready.
    pub fn come_up(&mut self, token: &str) -> Result<(), Failure> {
        self.up = true;
        let hello = Message::Hello {
            version: VERSION,
            token: token.as_bytes().to_vec(),
        };
        self.say(0, hello)?;
        self.say(0, Message::Ready)
    }

    /// Answers what is asked. Until the guest is up nothing is read, as in a
    /// guest whose agent does not run yet.
    pub fn listen(&mut self) -> Result<Option<Wish>, Failure> {
        let mut buffer = [0; 4096];
        while self.up {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err("the supervisor closed the agent's stream".into()),
                Ok(length) => self.decoder.push(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
            while let Some(frame) = self.decoder.next()? {
                if let Some(wish) = self.hear(frame)? {
                    return Ok(Some(wish));
                }
            }
        }
        Ok(None)
    }

    /// A program in this guest does nothing, well; but `poweroff` works.
    fn hear(&mut self, frame: Frame) -> Result<Option<Wish>, Failure> {
        match frame.message {
            Message::Ping(number) => self.say(0, Message::Pong(number))?,
            Message::Exec(request) => {
                let status = ExitStatus::Code { code: 0 };
                self.say(frame.channel, Message::Exit { status })?;
                if request.argv.first().is_some_and(|word| word == "poweroff") {
                    return self.power_off().map(Some);
                }
            }
            Message::Shutdown { .. } => return self.power_off().map(Some),
            _ => {}
        }
        Ok(None)
    }

    fn power_off(&mut self) -> Result<Wish, Failure> {
        let action = PowerAction::PowerOff;
        self.say(0, Message::Going { action })?;
        Ok(Wish::PowerOff)
    }

    fn say(&mut self, channel: u32, message: Message) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        Frame { channel, message }.encode(&mut bytes)?;
        Ok(self.stream.write_all(&bytes)?)
    }
}
