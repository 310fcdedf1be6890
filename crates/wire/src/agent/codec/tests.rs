use proptest::prelude::*;

use super::*;
use crate::agent::{
    ExecRequest, ExitStatus, Limits, PowerAction, SupervisorStatus, TerminalSize, Tool,
};
use crate::supervisor::Rate;

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,40}"
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..2000)
}

fn status() -> impl Strategy<Value = ExitStatus> {
    prop_oneof![
        (0..256i32).prop_map(|code| ExitStatus::Code { code }),
        (1..65i32).prop_map(|number| ExitStatus::Signal { number }),
        text().prop_map(|message| ExitStatus::NotFound { message }),
        text().prop_map(|message| ExitStatus::NotExecutable { message }),
    ]
}

fn size() -> impl Strategy<Value = TerminalSize> {
    (any::<u16>(), any::<u16>()).prop_map(|(rows, columns)| TerminalSize { rows, columns })
}

fn exec() -> impl Strategy<Value = ExecRequest> {
    let list = || prop::collection::vec(text(), 0..4);
    let terminal = prop::option::of(size());
    let words = (list(), list(), text(), text());
    (words, any::<bool>(), terminal, tool()).prop_map(
        |((argv, env, user, cwd), stdin, terminal, tool)| ExecRequest {
            argv,
            env,
            user,
            cwd,
            stdin,
            terminal,
            tool,
        },
    )
}

fn tool() -> impl Strategy<Value = Option<Tool>> {
    let path = || prop::collection::vec(any::<u8>(), 0..8);
    prop::option::of(prop_oneof![
        (path(), any::<bool>()).prop_map(|(path, follow)| Tool::Pack { path, follow }),
        (path(), any::<bool>()).prop_map(|(path, any)| Tool::Unpack { path, any }),
        Just(Tool::Processes),
    ])
}

fn limits() -> impl Strategy<Value = Limits> {
    let rate = || {
        (any::<u64>(), any::<u64>()).prop_map(|(bytes_per_second, burst)| Rate {
            bytes_per_second,
            burst,
        })
    };
    let interfaces = prop::collection::btree_map(text(), rate(), 0..4);
    (interfaces, prop::option::of(rate()))
        .prop_map(|(interfaces, disk)| Limits { interfaces, disk })
}

fn message() -> impl Strategy<Value = Message> {
    let action = prop::sample::select(vec![
        PowerAction::PowerOff,
        PowerAction::Halt,
        PowerAction::Reboot,
    ]);
    prop_oneof![
        (any::<u32>(), data()).prop_map(|(version, token)| Message::Hello { version, token }),
        prop::sample::select(vec![
            Message::Ready,
            Message::StdinEnd,
            Message::Close,
            Message::Kill,
            Message::Pause,
            Message::Resume,
            Message::Status,
            Message::Detach,
            Message::Attach,
        ]),
        size().prop_map(Message::Resize),
        any::<i32>().prop_map(|code| Message::Ended { code }),
        action.prop_map(|action| Message::Going { action }),
        exec().prop_map(Message::Exec),
        data().prop_map(Message::Stdin),
        data().prop_map(Message::Stdout),
        data().prop_map(Message::Stderr),
        status().prop_map(|status| Message::Exit { status }),
        any::<i32>().prop_map(|number| Message::Signal { number }),
        any::<u32>().prop_map(|bytes| Message::Credit { bytes }),
        any::<u64>().prop_map(|grace_ms| Message::Shutdown { grace_ms }),
        any::<u64>().prop_map(|grace_ms| Message::Stop { grace_ms }),
        limits().prop_map(Message::Limit),
        any::<u64>().prop_map(|bytes| Message::Balloon { bytes }),
        any::<bool>().prop_map(|changed| Message::Done { changed }),
        (text(), any::<u64>()).prop_map(|(uid, uptime_ms)| {
            Message::StatusReply(SupervisorStatus {
                uid,
                uptime_ms,
                ..Default::default()
            })
        }),
        (text(), prop::option::of(text()))
            .prop_map(|(message, hint)| Message::Error { message, hint }),
        any::<u64>().prop_map(Message::Ping),
        any::<u64>().prop_map(Message::Pong),
    ]
}

fn frames() -> impl Strategy<Value = Vec<Frame>> {
    let frame = (any::<u32>(), message()).prop_map(|(channel, message)| Frame { channel, message });
    prop::collection::vec(frame, 0..8)
}

/// Room that is asked for and not filled.
const ROOM: usize = 5000;

fn encoded(frames: &[Frame]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for frame in frames {
        frame.encode(&mut bytes).expect("the payload is small");
    }
    bytes
}

/// All frames of a stream that comes in pieces of `size` bytes.
fn decoded(bytes: &[u8], size: usize) -> Result<Vec<Frame>, Error> {
    decoded_by(bytes, size, Decoder::push)
}

fn decoded_by(
    bytes: &[u8],
    size: usize,
    take: impl Fn(&mut Decoder, &[u8]),
) -> Result<Vec<Frame>, Error> {
    let mut decoder = Decoder::new();
    let mut frames = Vec::new();
    for piece in bytes.chunks(size) {
        take(&mut decoder, piece);
        while let Some(frame) = decoder.next()? {
            frames.push(frame);
        }
        assert!(decoder.buffer.len() <= HEADER_LEN + MAX_PAYLOAD + size + ROOM);
    }
    Ok(frames)
}

#[test]
fn layout_is_as_drawn() {
    let bytes = encoded(&[Frame {
        channel: 7,
        message: Message::Stdout(b"hi".to_vec()),
    }]);
    assert_eq!(bytes, [2, 0, 0, 0, 8, 7, 0, 0, 0, b'h', b'i']);
}

#[test]
fn too_long_is_refused_both_ways() {
    let mut out = b"before".to_vec();
    let frame = Frame::link(Message::Stdin(vec![0; MAX_PAYLOAD + 1]));
    assert!(matches!(frame.encode(&mut out), Err(Error::TooLong { .. })));
    assert_eq!(out, b"before");
    let mut decoder = Decoder::new();
    decoder.push(&[1, 0, 1, 0, 6, 0, 0, 0, 0]);
    assert!(matches!(
        decoder.next(),
        Err(Error::TooLong { length: 65537, .. })
    ));
}

#[test]
fn a_newer_exec_request_is_understood() {
    let payload = br#"{"argv":["sh"],"tty":{"rows":24}}"#;
    let message = decode_payload(kind::EXEC, payload).expect("unknown fields are for later");
    let argv = vec!["sh".to_owned()];
    assert_eq!(
        message,
        Message::Exec(ExecRequest {
            argv,
            ..Default::default()
        })
    );
}

proptest! {
    #[test]
    fn frames_survive(frames in frames(), size in 1usize..5000) {
        prop_assert_eq!(decoded(&encoded(&frames), size).expect("our own bytes"), frames);
    }

    /// As a reader does it who knows what he has room for, and not what will come.
    #[test]
    fn frames_survive_in_a_room_too_large(
        frames in frames(), size in 1usize..5000, extra in 0usize..ROOM,
    ) {
        let read = |decoder: &mut Decoder, piece: &[u8]| {
            let room = decoder.room(piece.len() + extra);
            assert_eq!(room.len(), piece.len() + extra);
            room.fill(0xff);
            room[..piece.len()].copy_from_slice(piece);
            decoder.filled(piece.len());
        };
        let decoded = decoded_by(&encoded(&frames), size, read).expect("our own bytes");
        prop_assert_eq!(decoded, frames);
    }

    #[test]
    fn output_is_a_frame_like_any(channel in any::<u32>(), is_error in any::<bool>(), data in data()) {
        let mut bytes = b"before".to_vec();
        Frame::encode_output(channel, is_error, &data, &mut bytes);
        let message = if is_error { Message::Stderr(data) } else { Message::Stdout(data) };
        prop_assert_eq!(&bytes[6..], encoded(&[Frame { channel, message }]));
    }

    #[test]
    fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..4096), size in 1usize..300) {
        let _ = decoded(&bytes, size);
    }

    #[test]
    fn damaged_streams_are_safe(
        frames in frames(), at in any::<prop::sample::Index>(), byte in any::<u8>(), size in 1usize..300,
    ) {
        let mut bytes = encoded(&frames);
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = decoded(&bytes, size);
    }
}
