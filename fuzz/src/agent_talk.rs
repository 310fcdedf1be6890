//! The guest's side of a program's channel: a host that says anything, and a program that reads and
//! writes when it likes.

use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::OwnedFd;
use std::sync::Once;

use ignite_guest::agent::talk::{Answer, Stream, Talk};
use ignite_guest::agent::wires::Wires;
use ignite_wire::agent::{INITIAL_WINDOW, Message, TerminalSize};
use rustix::io::ioctl_fionbio;

static IGNORE: Once = Once::new();

/// What the program has of its three streams.
struct Program {
    input: Option<PipeReader>,
    output: Option<PipeWriter>,
    error: Option<PipeWriter>,
}

/// What was said and what came of it.
#[derive(Default)]
struct Seen {
    /// The next byte of input sent, and of input the program reads.
    sent: u64,
    read: u64,
    /// The next byte the program writes, and of what is told.
    written: u64,
    told: u64,
    granted_by_client: u64,
    granted_to_client: u64,
}

/// Two bytes are a step: what, and how much.
pub fn run(bytes: &[u8]) {
    // As in every program with a `main` of Rust's.
    IGNORE.call_once(|| {
        // SAFETY: no handler is set, only none called.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    });
    let (from_us, to_program) = pipe().expect("a pipe");
    let (from_program, to_us) = pipe().expect("a pipe");
    let (errors, to_errors) = pipe().expect("a pipe");
    for end in [&to_us, &to_errors] {
        ioctl_fionbio(end, true).expect("a pipe");
    }
    let ours = [to_program.into(), from_program.into(), errors.into()].map(Some::<OwnedFd>);
    let [input, stdout, stderr] = ours;
    let wires = Wires::over(input, stdout, stderr).expect("wires over pipes");
    let mut talk = Talk::new(wires);
    let mut program = Program {
        input: Some(from_us),
        output: Some(to_us),
        error: Some(to_errors),
    };
    let mut seen = Seen::default();
    for step in bytes.chunks_exact(2) {
        let amount = 300 * usize::from(step[1]);
        match step[0] % 16 {
            0..=3 => {
                let data = (0..amount as u64)
                    .map(|place| pattern(seen.sent + place))
                    .collect();
                seen.sent += amount as u64;
                if say(&mut talk, &mut seen, Message::Stdin(data)) {
                    // The program is killed, and the host told.
                    return;
                }
            }
            4 => {
                let bytes = amount as u32;
                seen.granted_by_client += u64::from(bytes);
                say(&mut talk, &mut seen, Message::Credit { bytes });
            }
            5 if step[1] == 0 => {
                seen.granted_by_client = u64::MAX / 2;
                say(&mut talk, &mut seen, Message::Credit { bytes: u32::MAX });
            }
            6 if step[1] % 8 == 0 => {
                say(&mut talk, &mut seen, Message::StdinEnd);
            }
            7 if step[1] % 16 == 0 => {
                say(&mut talk, &mut seen, Message::Detach);
            }
            8 => {
                let size = TerminalSize {
                    rows: u16::from(step[1]),
                    columns: 0,
                };
                say(&mut talk, &mut seen, Message::Resize(size));
                say(&mut talk, &mut seen, Message::Ready);
            }
            9 => program.reads(&talk, amount, &mut seen),
            10 | 11 => program.writes(amount, &mut seen),
            12 if step[1] % 8 == 0 => match step[1] / 8 % 3 {
                0 => program.input = None,
                1 => program.output = None,
                _ => program.error = None,
            },
            13 if step[1] % 32 == 0 => {
                program = Program {
                    input: None,
                    output: None,
                    error: None,
                };
                talk.program_ended();
                while let Some(answer) = talk.left_over() {
                    heard(answer, &talk, &mut seen);
                }
            }
            _ => {
                for stream in talk.streams(true).into_iter().flatten() {
                    if let Some(answer) = talk.serve(stream) {
                        heard(answer, &talk, &mut seen);
                    }
                }
            }
        }
        assert!(seen.granted_to_client <= seen.sent);
        let under_way = seen.sent - seen.granted_to_client;
        assert!(talk.is_detached() || under_way <= u64::from(INITIAL_WINDOW));
    }
}

/// Whether it broke the protocol.
fn say(talk: &mut Talk, seen: &mut Seen, message: Message) -> bool {
    match talk.obey(message) {
        Some(answer) => heard(answer, talk, seen),
        None => false,
    }
}

fn heard(answer: Answer, talk: &Talk, seen: &mut Seen) -> bool {
    match answer {
        Answer::Credit(bytes) => {
            assert!(!talk.is_detached(), "nobody listens");
            seen.granted_to_client += u64::from(bytes);
        }
        Answer::Output { data, is_error } => {
            assert!(!talk.is_detached() && !data.is_empty());
            if !is_error {
                let expected = (0..data.len() as u64).map(|place| pattern(seen.told + place));
                assert!(data.iter().copied().eq(expected), "as it was written");
                seen.told += data.len() as u64;
            }
            let window = seen
                .granted_by_client
                .saturating_add(u64::from(INITIAL_WINDOW));
            assert!(seen.told <= window, "more than was granted");
            assert!(seen.told <= seen.written);
        }
        Answer::Error(_) => {
            let under_way = seen.sent - seen.granted_to_client;
            assert!(
                under_way > u64::from(INITIAL_WINDOW),
                "it was within its window"
            );
            return true;
        }
    }
    false
}

fn pattern(place: u64) -> u8 {
    (place % 251) as u8
}

impl Program {
    /// Only where something is there: it would wait for ever.
    fn reads(&mut self, talk: &Talk, most: usize, seen: &mut Seen) {
        let Some(input) = &mut self.input else { return };
        let mut data = vec![0; most];
        let is_there = ready(input);
        if !is_there || most == 0 {
            return;
        }
        let count = input.read(&mut data).expect("a pipe");
        let expected = (0..count as u64).map(|place| pattern(seen.read + place));
        assert!(data[..count].iter().copied().eq(expected), "as it was sent");
        seen.read += count as u64;
        assert!(seen.read <= seen.sent);
        if count == 0 {
            assert!(
                talk.descriptor(Stream::Stdin).is_none(),
                "an end of its own"
            );
        }
    }

    /// As much as there is room for.
    fn writes(&mut self, amount: usize, seen: &mut Seen) {
        if let Some(output) = &mut self.output {
            let data: Vec<u8> = (0..amount as u64)
                .map(|place| pattern(seen.written + place))
                .collect();
            seen.written += output.write(&data).unwrap_or(0) as u64;
        }
        if let (Some(error), 0) = (&mut self.error, amount % 7) {
            let _ = error.write(b"e");
        }
    }
}

fn ready(input: &PipeReader) -> bool {
    use rustix::event::{PollFd, PollFlags, poll};
    let mut fds = [PollFd::new(input, PollFlags::IN)];
    let none = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut fds, Some(&none)).is_ok_and(|count| count > 0)
}
