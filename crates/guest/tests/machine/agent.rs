//! The supervisor's side of the agent's stream.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use ignite_wire::agent::{
    Credits, DATA_CHUNK, Decoder, ExecRequest, ExitStatus, Frame, Message, VERSION,
};

use super::{HELPER, PATIENCE, TOKEN};

/// A program's channel.
const CHANNEL: u32 = 1;

/// One connection of the agent's.
pub struct Agent {
    stream: UnixStream,
    decoder: Decoder,
    /// Questions whether we hear that were answered.
    answered: u32,
}

/// What a program gave.
#[derive(Debug, PartialEq, Eq)]
pub struct Ran {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub status: ExitStatus,
}

impl Agent {
    /// The next connection, greeted as the protocol has it.
    pub fn accept(listener: &UnixListener) -> Self {
        let mut agent = Self {
            stream: accept(listener),
            decoder: Decoder::new(),
            answered: 0,
        };
        let hello = Message::Hello {
            version: VERSION,
            token: TOKEN.into(),
        };
        assert_eq!(agent.hear().message, hello);
        assert_eq!(agent.hear().message, Message::Ready);
        agent
    }

    /// The next connection of a guest that says nothing but why it cannot start.
    pub fn complaint(listener: &UnixListener) -> String {
        let mut agent = Self {
            stream: accept(listener),
            decoder: Decoder::new(),
            answered: 0,
        };
        match agent.hear().message {
            Message::Error { message, .. } => {
                assert!(agent.ends(), "it goes on, or did not ask");
                message
            }
            other => panic!("it says {other:?}"),
        }
    }

    /// Says something about the link itself.
    pub fn tell(&mut self, message: Message) {
        self.send(&Frame::link(message));
    }

    fn send(&mut self, frame: &Frame) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes).expect("it is short");
        self.stream.write_all(&bytes).expect("the guest reads");
    }

    /// The next frame that is no question whether we are there.
    pub fn hear(&mut self) -> Frame {
        self.hear_or_end().expect("the stream goes on")
    }

    /// Whether the stream ends now, with nothing more to hear, and whether the guest has made sure
    /// that all of it was heard.
    pub fn ends(mut self) -> bool {
        self.hear_or_end().is_none() && self.answered > 0
    }

    fn hear_or_end(&mut self) -> Option<Frame> {
        loop {
            match self.decoder.next().expect("frames") {
                Some(Frame {
                    message: Message::Ping(number),
                    ..
                }) => {
                    self.answered += 1;
                    self.tell(Message::Pong(number));
                }
                Some(frame) => return Some(frame),
                None => {
                    let mut buffer = [0; 32 * 1024];
                    let count = self.stream.read(&mut buffer).expect("before the limit");
                    if count == 0 {
                        return None;
                    }
                    self.decoder.push(&buffer[..count]);
                }
            }
        }
    }

    /// Runs `testkit-helper copy CODE` with this input, within the windows of the protocol.
    pub fn copy(&mut self, code: i32, input: &[u8]) -> Ran {
        let argv = [HELPER, "copy", &code.to_string()].map(str::to_owned);
        self.say(Message::Exec(ExecRequest {
            argv: argv.into(),
            stdin: true,
            ..ExecRequest::default()
        }));
        let (mut credits, mut left) = (Credits::new(), Some(input));
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        loop {
            if let Some(rest) = left.filter(|_| credits.available() > 0) {
                left = self.feed(&mut credits, rest);
            }
            let data = match self.hear().message {
                Message::Stdout(data) => append(&mut stdout, data),
                Message::Stderr(data) => append(&mut stderr, data),
                Message::Credit { bytes } => {
                    credits.granted(bytes);
                    continue;
                }
                Message::Exit { status } => {
                    return Ran {
                        stdout,
                        stderr,
                        status,
                    };
                }
                other => panic!("it says {other:?}"),
            };
            credits.received(data).expect("within the window");
            if let Some(bytes) = credits.consumed(data) {
                self.say(Message::Credit { bytes });
            }
        }
    }

    /// Gives what the window allows of the input, then its end; what is left.
    fn feed<'a>(&mut self, credits: &mut Credits, input: &'a [u8]) -> Option<&'a [u8]> {
        let (now, left) = input.split_at(credits.available().min(input.len()));
        for piece in now.chunks(DATA_CHUNK) {
            credits.spend(piece.len());
            self.say(Message::Stdin(piece.to_vec()));
        }
        if left.is_empty() {
            self.say(Message::StdinEnd);
            return None;
        }
        Some(left)
    }

    fn say(&mut self, message: Message) {
        self.send(&Frame {
            channel: CHANNEL,
            message,
        });
    }
}

fn append(to: &mut Vec<u8>, data: Vec<u8>) -> usize {
    to.extend_from_slice(&data);
    data.len()
}

fn accept(listener: &UnixListener) -> UnixStream {
    listener.set_nonblocking(true).expect("a socket");
    let deadline = Instant::now() + PATIENCE;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).expect("a socket");
                stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
                return stream;
            }
            Err(error) => assert!(Instant::now() < deadline, "nobody comes: {error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
