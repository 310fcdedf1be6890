//! What a VMM says that wants its supervisor to have no time for anything else: something that has to be
//! read, on all of its streams, without an end.

use std::io::Write;
use std::os::unix::net::UnixStream;

use ignite_wire::agent::{Frame, Message};
use rustix::event::{PollFd, PollFlags, poll};

/// Bytes made at one time.
const PIECE: usize = 32 << 10;

/// One stream, and what is said there.
struct Voice {
    stream: UnixStream,
    /// The part of this number.
    say: fn(u64) -> Vec<u8>,
    number: u64,
    /// What was not taken yet: a part is never left half said.
    waiting: Vec<u8>,
}

/// Begins with it. Nothing else may be said on any of the streams from now on.
pub fn make(console: UnixStream, control: UnixStream, agent: UnixStream) {
    let voice = |stream, say| Voice {
        stream,
        say,
        number: 0,
        waiting: Vec::new(),
    };
    let voices = [
        voice(console, line as fn(u64) -> Vec<u8>),
        voice(control, event),
        voice(agent, frame),
    ];
    std::thread::spawn(move || say_all(voices));
}

/// Lines with numbers: one that is lost is missed.
fn line(number: u64) -> Vec<u8> {
    format!("noise {number}\n").into_bytes()
}

fn event(_: u64) -> Vec<u8> {
    b"{\"event\": \"RTC_CHANGE\", \"data\": {\"offset\": 1}}\r\n".to_vec()
}

fn frame(number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A number is never too long for a frame.
    let _ = Frame::link(Message::Pong(number)).encode(&mut bytes);
    bytes
}

fn say_all(mut voices: [Voice; 3]) {
    loop {
        let mut streams = voices
            .each_ref()
            .map(|voice| PollFd::new(&voice.stream, PollFlags::OUT));
        // Interrupted, it is tried in vain.
        let _ = poll(&mut streams, None);
        voices.iter_mut().for_each(Voice::go_on);
    }
}

impl Voice {
    fn go_on(&mut self) {
        while self.waiting.len() < PIECE {
            self.waiting.extend((self.say)(self.number));
            self.number += 1;
        }
        if let Ok(written) = self.stream.write(&self.waiting) {
            self.waiting.drain(..written);
        }
    }
}
