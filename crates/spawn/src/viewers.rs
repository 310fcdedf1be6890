//! Who is attached to the guest's console: all see what it prints, all may type.
//!
//! ```text
//!   console --> viewer: as far as its window reaches; the rest is lost, and said so
//!   viewer  --> one queue, no more than each one's window --> console
//! ```
//!
//! The guest waits for nobody: whoever reads slower than it prints loses the middle. A pure table.

use std::collections::VecDeque;

use ignite_wire::agent::{Credits, DATA_CHUNK, Frame, Message, TerminalSize};

use ignite_wire::agent::relay::ClientId;

/// Bytes of a viewer's window that no output fills: at any time, and at the end, there is room to tell it what
/// it did not see.
const NOTICE: usize = 128;

/// What became of a frame of a viewer's.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// There may be something to be written to the console.
    Input,
    /// The console is to have this size.
    Resize(TerminalSize),
    /// The viewer went away, and its channel is free.
    Left,
    /// Nothing more.
    Nothing,
    /// The viewer broke the protocol.
    Wrong(&'static str),
}

#[derive(Debug)]
struct Viewer {
    client: ClientId,
    channel: u32,
    credits: Credits,
    /// Bytes that it did not see since the last it saw.
    lost: u64,
    /// The guest was not ready when it came: what is printed before that is not for it.
    waits: bool,
}

/// Input of one viewer's.
#[derive(Debug)]
struct Typed {
    client: ClientId,
    channel: u32,
    bytes: Vec<u8>,
    written: usize,
}

/// The table.
#[derive(Debug, Default)]
pub struct Viewers {
    viewers: Vec<Viewer>,
    typed: VecDeque<Typed>,
}

impl Viewers {
    /// One more, on a channel of its own; from the moment the guest is ready where it `waits` for that.
    pub fn attach(&mut self, client: ClientId, channel: u32, waits: bool) {
        self.viewers.push(Viewer {
            client,
            channel,
            credits: Credits::new(),
            lost: 0,
            waits,
        });
    }

    /// Whether this channel shows the console.
    pub fn has(&self, client: ClientId, channel: u32) -> bool {
        self.of(client, channel).is_some()
    }

    /// Whether somebody waits for the guest to be ready.
    pub fn are_waiting(&self) -> bool {
        self.viewers.iter().any(|viewer| viewer.waits)
    }

    /// The guest is ready.
    pub fn ready(&mut self) {
        for viewer in &mut self.viewers {
            viewer.waits = false;
        }
    }

    /// The guest printed this: what goes to whom.
    pub fn printed(&mut self, bytes: &[u8]) -> Vec<(ClientId, Frame)> {
        let mut frames = Vec::new();
        for viewer in self.viewers.iter_mut().filter(|viewer| !viewer.waits) {
            viewer.show(bytes, &mut frames);
        }
        frames
    }

    /// A frame of a viewer's.
    pub fn heard(&mut self, client: ClientId, frame: Frame) -> Heard {
        let channel = frame.channel;
        let Some(at) = self.of(client, channel) else {
            return Heard::Nothing;
        };
        match frame.message {
            Message::Stdin(bytes) => self.type_in(at, bytes),
            Message::Credit { bytes } => self.grant(at, bytes),
            Message::Resize(size) => Heard::Resize(size),
            Message::StdinEnd | Message::Signal { .. } => Heard::Nothing,
            Message::Detach | Message::Close => {
                self.gone(client);
                Heard::Left
            }
            _ => Heard::Wrong("a message that is not a viewer's"),
        }
    }

    /// Who is gone types nothing more, not even what waits.
    pub fn gone(&mut self, client: ClientId) {
        self.viewers.retain(|viewer| viewer.client != client);
        self.typed.retain(|typed| typed.client != client);
    }

    /// What the console is to take next.
    pub fn input(&self) -> Option<&[u8]> {
        self.typed
            .front()
            .map(|typed| &typed.bytes[typed.written..])
    }

    /// The console took that much of [`Viewers::input`]; a grant, if one is due.
    pub fn took(&mut self, bytes: usize) -> Option<(ClientId, Frame)> {
        let typed = self.typed.front_mut()?;
        typed.written += bytes;
        let (client, channel) = (typed.client, typed.channel);
        if typed.written >= typed.bytes.len() {
            self.typed.pop_front();
        }
        let at = self.of(client, channel)?;
        let bytes = self.viewers[at].credits.consumed(bytes)?;
        let message = Message::Credit { bytes };
        Some((client, Frame { channel, message }))
    }

    /// The last word to all; who lost something at the end is told so first.
    pub fn take_leave(&mut self, message: &Message) -> Vec<(ClientId, Frame)> {
        let mut frames = Vec::new();
        for viewer in &mut self.viewers {
            viewer.send(viewer.gap().as_bytes(), &mut frames);
            let (channel, message) = (viewer.channel, message.clone());
            frames.push((viewer.client, Frame { channel, message }));
        }
        frames
    }

    fn of(&self, client: ClientId, channel: u32) -> Option<usize> {
        self.viewers
            .iter()
            .position(|viewer| viewer.client == client && viewer.channel == channel)
    }

    fn type_in(&mut self, at: usize, bytes: Vec<u8>) -> Heard {
        let viewer = &mut self.viewers[at];
        if bytes.is_empty() || viewer.credits.received(bytes.len()).is_err() {
            return Heard::Wrong("more input than was agreed");
        }
        self.typed.push_back(Typed {
            client: viewer.client,
            channel: viewer.channel,
            bytes,
            written: 0,
        });
        Heard::Input
    }

    fn grant(&mut self, at: usize, bytes: u32) -> Heard {
        let credits = &mut self.viewers[at].credits;
        let most = ignite_wire::agent::INITIAL_WINDOW as usize;
        if bytes == 0 || credits.available() + bytes as usize > most {
            return Heard::Wrong("more credit than was agreed");
        }
        credits.granted(bytes);
        Heard::Nothing
    }
}

impl Viewer {
    /// As much as its window takes; where it lost something before, it is told so first.
    fn show(&mut self, bytes: &[u8], frames: &mut Vec<(ClientId, Frame)>) {
        let gap = self.gap();
        let room = self.credits.available().saturating_sub(NOTICE);
        if gap.len() >= room {
            self.lost += bytes.len() as u64;
            return;
        }
        let (shown, rest) = bytes.split_at(bytes.len().min(room - gap.len()));
        self.lost = rest.len() as u64;
        self.send(&[gap.as_bytes(), shown].concat(), frames);
    }

    /// What says that something was lost, if it was.
    fn gap(&self) -> String {
        match self.lost {
            0 => String::new(),
            lost => format!("\r\n[ignite: {lost} bytes of the console are not shown here]\r\n"),
        }
    }

    fn send(&mut self, bytes: &[u8], frames: &mut Vec<(ClientId, Frame)>) {
        for piece in bytes.chunks(DATA_CHUNK) {
            self.credits.spend(piece.len());
            let message = Message::Stdout(piece.to_vec());
            let channel = self.channel;
            frames.push((self.client, Frame { channel, message }));
        }
    }
}

#[cfg(test)]
mod tests {
    use ignite_wire::agent::INITIAL_WINDOW;

    use super::*;

    const WINDOW: usize = INITIAL_WINDOW as usize;

    fn frame(message: Message) -> Frame {
        Frame {
            channel: 1,
            message,
        }
    }

    fn shown(frames: &[(ClientId, Frame)], who: ClientId) -> String {
        let of = frames.iter().filter(|(client, _)| *client == who);
        let bytes = of.flat_map(|(_, frame)| match &frame.message {
            Message::Stdout(bytes) => bytes.clone(),
            other => panic!("{other:?} is no output"),
        });
        String::from_utf8(bytes.collect()).expect("text")
    }

    #[test]
    fn all_see_it_but_who_waits() {
        let mut viewers = Viewers::default();
        viewers.attach(1, 1, false);
        viewers.attach(2, 1, true);
        let boot = viewers.printed(b"boot");
        assert_eq!(
            (shown(&boot, 1), shown(&boot, 2)),
            ("boot".into(), String::new())
        );
        assert!(viewers.are_waiting());
        viewers.ready();
        let up = viewers.printed(b"up");
        assert_eq!((shown(&up, 1), shown(&up, 2)), ("up".into(), "up".into()));
        assert!(!viewers.are_waiting());
    }

    #[test]
    fn who_reads_slowly_loses_the_middle_and_is_told() {
        let mut viewers = Viewers::default();
        viewers.attach(1, 1, false);
        let (past, unseen) = (7, "unseen");
        let first = viewers.printed(&vec![b'a'; WINDOW - NOTICE + past]);
        assert_eq!(shown(&first, 1).len(), WINDOW - NOTICE);
        assert!(viewers.printed(unseen.as_bytes()).is_empty());
        // Room for what tells of it, and for more beside.
        let credit = frame(Message::Credit {
            bytes: 2 * NOTICE as u32,
        });
        assert_eq!(viewers.heard(1, credit), Heard::Nothing);
        let next = shown(&viewers.printed(b"seen"), 1);
        let told = format!(" {} bytes of the console", past + unseen.len());
        assert!(next.contains(&told) && next.ends_with("seen"), "{next}");
        assert!(!shown(&viewers.printed(b"more"), 1).contains("bytes of"));
    }

    #[test]
    fn what_is_lost_at_the_end_is_told_before_the_last_word() {
        let mut viewers = Viewers::default();
        viewers.attach(1, 1, false);
        viewers.attach(2, 1, true);
        viewers.printed(&vec![b'a'; WINDOW]);
        let mut last = viewers.take_leave(&Message::Close);
        assert_eq!(last.pop(), Some((2, frame(Message::Close))));
        assert_eq!(last.pop(), Some((1, frame(Message::Close))));
        let told = shown(&last, 1);
        let lost = format!(" {NOTICE} bytes of the console");
        assert!(told.contains(&lost), "{told}");
    }

    #[test]
    fn there_is_room_to_tell_of_any_loss() {
        let mut viewers = Viewers::default();
        viewers.attach(1, 1, false);
        viewers.printed(&vec![b'a'; 2 * WINDOW]);
        viewers.viewers[0].lost = u64::MAX;
        let last = viewers.take_leave(&Message::Close);
        assert!(shown(&last[..1], 1).contains(&u64::MAX.to_string()));
    }

    #[test]
    fn what_is_typed_waits_its_turn_and_no_longer_than_who_typed_it() {
        let mut viewers = Viewers::default();
        viewers.attach(1, 1, false);
        viewers.attach(2, 1, false);
        for (client, text) in [(1, "one"), (2, "two"), (1, "three")] {
            let input = frame(Message::Stdin(text.as_bytes().to_vec()));
            assert_eq!(viewers.heard(client, input), Heard::Input);
        }
        assert_eq!(viewers.took(1), None);
        assert_eq!(viewers.input(), Some(&b"ne"[..]));
        viewers.gone(1);
        assert_eq!(viewers.input(), Some(&b"two"[..]));
        viewers.took(3);
        assert_eq!(viewers.input(), None);
        assert!(!viewers.has(1, 1) && viewers.has(2, 1));
    }

    #[test]
    fn nobody_types_or_grants_past_the_window() {
        let mut viewers = Viewers::default();
        viewers.attach(1, 1, false);
        let full = frame(Message::Stdin(vec![0; WINDOW]));
        assert_eq!(viewers.heard(1, full), Heard::Input);
        let more = frame(Message::Stdin(vec![0]));
        assert!(matches!(viewers.heard(1, more), Heard::Wrong(_)));
        let credit = frame(Message::Credit { bytes: 1 });
        assert!(matches!(viewers.heard(1, credit), Heard::Wrong(_)));
        let grant = viewers.took(WINDOW).map(|(_, frame)| frame.message);
        assert_eq!(
            grant,
            Some(Message::Credit {
                bytes: INITIAL_WINDOW
            })
        );
    }
}
