use crate::agent::{ExecRequest, ExitStatus};
use proptest::prelude::*;

use super::*;

fn frame(channel: u32, message: Message) -> Frame {
    Frame { channel, message }
}

fn exec(channel: u32) -> Frame {
    frame(channel, Message::Exec(ExecRequest::default()))
}

fn with_two_clients() -> Relay {
    let mut relay = Relay::default();
    assert_eq!(relay.client_said(7, exec(1)), Step::ToAgent(exec(1)));
    assert_eq!(relay.client_said(9, exec(1)), Step::ToAgent(exec(2)));
    relay
}

#[test]
fn channels_of_two_clients_are_kept_apart() {
    let mut relay = with_two_clients();
    let output = |channel| frame(channel, Message::Stdout(b"x".to_vec()));
    assert_eq!(relay.agent_said(output(1)), Step::ToClient(7, output(1)));
    assert_eq!(relay.agent_said(output(2)), Step::ToClient(9, output(1)));
    assert_eq!(relay.agent_said(output(3)), Step::Nothing);
}

#[test]
fn a_channel_ends_with_the_program() {
    let mut relay = with_two_clients();
    let exit = |channel| {
        frame(
            channel,
            Message::Exit {
                status: ExitStatus::Code { code: 0 },
            },
        )
    };
    assert_eq!(relay.agent_said(exit(2)), Step::ToClient(9, exit(1)));
    assert_eq!(relay.agent_said(exit(2)), Step::Nothing);
    assert_eq!(
        relay.client_said(9, frame(1, Message::StdinEnd)),
        Step::Nothing
    );
    assert!(!relay.has_channels(9) && relay.has_channels(7));
    assert_eq!(relay.client_said(9, exec(1)), Step::ToAgent(exec(3)));
}

#[test]
fn a_program_that_is_left_alone_says_nothing_more() {
    let mut relay = with_two_clients();
    let size = crate::agent::TerminalSize {
        rows: 24,
        columns: 80,
    };
    let resize = |channel| frame(channel, Message::Resize(size));
    assert_eq!(relay.client_said(9, resize(1)), Step::ToAgent(resize(2)));
    let detach = |channel| frame(channel, Message::Detach);
    assert_eq!(relay.client_said(9, detach(1)), Step::ToAgent(detach(2)));
    let output = frame(2, Message::Stdout(b"x".to_vec()));
    assert_eq!(relay.agent_said(output), Step::Nothing);
    // Nor is it killed with its client.
    assert_eq!(relay.client_gone(9), []);
}

#[test]
fn who_goes_is_told_to_the_other_side() {
    let mut relay = with_two_clients();
    assert_eq!(relay.client_gone(9), [frame(2, Message::Close)]);
    assert_eq!(relay.client_gone(9), []);
    let told = relay.agent_gone("gone");
    assert_eq!(told, [(7, refusal(1, "gone"))]);
}

#[test]
fn an_agent_that_is_given_up_is_to_close_what_was_open() {
    let mut relay = with_two_clients();
    assert_eq!(relay.client_said(9, exec(5)), Step::ToAgent(exec(3)));
    let close = |channel| frame(channel, Message::Close);
    let closed = [(7, 1, close(1)), (9, 1, close(2)), (9, 5, close(3))];
    assert_eq!(relay.close_all(), closed);
    assert!(!relay.is_in_use());
    // What it says of them later is nobody's, and no new program's either.
    let output = frame(1, Message::Stdout(b"x".to_vec()));
    assert_eq!(relay.agent_said(output), Step::Nothing);
    assert_eq!(relay.client_said(7, exec(1)), Step::ToAgent(exec(4)));
    assert!(relay.is_in_use());
}

#[test]
fn too_much_output_costs_the_link() {
    let mut relay = with_two_clients();
    let output = |length| frame(1, Message::Stderr(vec![0; length]));
    assert!(matches!(
        relay.agent_said(output(INITIAL_WINDOW as usize)),
        Step::ToClient(..)
    ));
    assert!(matches!(relay.agent_said(output(1)), Step::DropLink(_)));
}

#[test]
fn credit_for_nothing_is_refused() {
    let mut relay = with_two_clients();
    let credit = |bytes| frame(1, Message::Credit { bytes });
    assert!(matches!(
        relay.client_said(7, credit(1)),
        Step::DropClient(7, _)
    ));
    assert!(matches!(
        relay.agent_said(credit(u32::MAX)),
        Step::DropLink(_)
    ));
}

#[test]
fn a_client_has_few_channels_and_each_but_once() {
    let mut relay = Relay::default();
    for channel in 1..=CHANNELS_PER_CLIENT as u32 {
        assert!(matches!(
            relay.client_said(1, exec(channel)),
            Step::ToAgent(_)
        ));
    }
    assert!(matches!(
        relay.client_said(1, exec(99)),
        Step::ToClient(1, _)
    ));
    assert!(matches!(
        relay.client_said(1, exec(1)),
        Step::DropClient(1, _)
    ));
}

#[derive(Debug, Clone)]
enum Act {
    Client(u64, Frame),
    Agent(Frame),
    Gone(u64),
}

fn acts() -> impl Strategy<Value = Act> {
    let message = prop_oneof![
        Just(Message::Exec(ExecRequest::default())),
        (0usize..100_000).prop_map(|length| Message::Stdin(vec![0; length])),
        (0usize..100_000).prop_map(|length| Message::Stdout(vec![0; length])),
        (0u32..100_000).prop_map(|bytes| Message::Credit { bytes }),
        Just(Message::Close),
        Just(Message::Detach),
        Just(Message::Exit {
            status: ExitStatus::Code { code: 0 }
        }),
        Just(Message::Ready),
    ];
    let frames = (1u32..6, message).prop_map(|(channel, message)| frame(channel, message));
    prop_oneof![
        (0u64..3, frames.clone()).prop_map(|(client, frame)| Act::Client(client, frame)),
        frames.prop_map(Act::Agent),
        (0u64..3).prop_map(Act::Gone),
    ]
}

proptest! {
    /// Whatever both sides say, no more than a window is ever under way to a client on a channel.
    #[test]
    fn what_waits_for_a_client_is_bounded(acts in prop::collection::vec(acts(), 0..200)) {
        let mut relay = Relay::default();
        let mut under_way = BTreeMap::<(u64, u32), usize>::new();
        for act in acts {
            let granted = match &act {
                Act::Client(client, Frame { channel, message: Message::Credit { bytes } }) => {
                    Some((*client, *channel, *bytes as usize))
                }
                _ => None,
            };
            let step = match act {
                Act::Client(client, frame) => {
                    let exec = matches!(frame.message, Message::Exec(_));
                    let step = relay.client_said(client, frame.clone());
                    if exec && matches!(step, Step::ToAgent(_)) {
                        under_way.insert((client, frame.channel), 0);
                    }
                    step
                }
                Act::Agent(frame) => relay.agent_said(frame),
                Act::Gone(client) => {
                    relay.client_gone(client);
                    prop_assert!(!relay.has_channels(client));
                    Step::Nothing
                }
            };
            match step {
                Step::ToClient(client, Frame { channel, message: Message::Stdout(data) }) => {
                    let waiting = under_way.entry((client, channel)).or_default();
                    *waiting += data.len();
                    prop_assert!(*waiting <= INITIAL_WINDOW as usize);
                }
                Step::ToAgent(_) => {
                    if let Some((client, channel, bytes)) = granted {
                        let waiting = under_way.entry((client, channel)).or_default();
                        prop_assert!(bytes <= *waiting);
                        *waiting -= bytes;
                    }
                }
                _ => {}
            }
        }
    }
}
