//! The supervisor's table of channels between a guest that says anything and clients that do.

use std::collections::BTreeMap;

use ignite_wire::agent::relay::{CHANNELS_PER_CLIENT, Relay, Step};
use ignite_wire::agent::{ExecRequest, ExitStatus, Frame, INITIAL_WINDOW, Message};

/// What is under way to the agent and to the client, by the client and its channel.
type Windows = BTreeMap<(u64, u32), [i64; 2]>;

const TO_AGENT: usize = 0;
const TO_CLIENT: usize = 1;

/// Three bytes are what somebody says: who and what, on which channel, how much.
pub fn run(bytes: &[u8]) {
    let mut relay = Relay::default();
    let mut windows = Windows::new();
    let mut to_clients: BTreeMap<u32, (u64, u32)> = BTreeMap::new();
    for said in bytes.chunks_exact(3) {
        let [what, channel, amount] = [said[0], said[1], said[2]];
        let client = u64::from(what & 1);
        let channel = u32::from(channel % 8);
        match (what >> 1) % 16 {
            0 => {
                for frame in relay.client_gone(client) {
                    assert_eq!(frame.message, Message::Close);
                    to_clients.remove(&frame.channel).expect("it was open");
                }
                assert!(!relay.has_channels(client));
            }
            1 => {
                let refused = relay.agent_gone("gone").len();
                assert_eq!(refused, to_clients.len());
                to_clients.clear();
            }
            2..=8 => {
                let message = message(what >> 5, amount);
                let frame = Frame { channel, message };
                let step = relay.client_said(client, frame.clone());
                client_said(client, &frame, &step, &mut windows, &mut to_clients);
            }
            _ => {
                let message = message(what >> 5, amount);
                let frame = Frame { channel, message };
                let step = relay.agent_said(frame.clone());
                agent_said(&frame, &step, &mut windows, &mut to_clients);
            }
        }
        windows.retain(|key, _| to_clients.values().any(|open| open == key));
        for under_way in windows.values().flatten() {
            assert!((0..=i64::from(INITIAL_WINDOW)).contains(under_way));
        }
        for client in 0..2 {
            let open = to_clients.values().filter(|open| open.0 == client).count();
            assert!(open <= CHANNELS_PER_CLIENT);
            assert_eq!(relay.has_channels(client), open > 0);
        }
    }
}

fn client_said(
    client: u64,
    said: &Frame,
    step: &Step,
    windows: &mut Windows,
    to_clients: &mut BTreeMap<u32, (u64, u32)>,
) {
    let key = (client, said.channel);
    match step {
        Step::ToAgent(frame) => {
            assert_eq!(frame.message, said.message, "passed on as it is");
            if let Message::Exec(_) = said.message {
                let before = to_clients.insert(frame.channel, key);
                assert_eq!(before, None, "a number that is not in use");
                windows.insert(key, [0, 0]);
            }
            assert_eq!(to_clients.get(&frame.channel), Some(&key));
            let under_way = windows.get_mut(&key).expect("it is open");
            match &said.message {
                Message::Stdin(data) => under_way[TO_AGENT] += data.len() as i64,
                Message::Credit { bytes } => under_way[TO_CLIENT] -= i64::from(*bytes),
                Message::Close | Message::Detach => drop(to_clients.remove(&frame.channel)),
                _ => {}
            }
        }
        Step::ToClient(to, frame) => assert_eq!((*to, frame.channel), key, "a refusal"),
        Step::DropClient(who, _) => assert_eq!(*who, client),
        Step::DropLink(_) => panic!("a client costs nobody the link"),
        Step::Nothing => assert!(!windows.contains_key(&key)),
    }
}

fn agent_said(
    said: &Frame,
    step: &Step,
    windows: &mut Windows,
    to_clients: &mut BTreeMap<u32, (u64, u32)>,
) {
    match step {
        Step::ToClient(client, frame) => {
            let key = to_clients.get(&said.channel).copied();
            assert_eq!(key, Some((*client, frame.channel)));
            assert_eq!(frame.message, said.message, "passed on as it is");
            let under_way = windows.get_mut(&(*client, frame.channel));
            let under_way = under_way.expect("it is open");
            match &said.message {
                Message::Stdout(data) | Message::Stderr(data) => {
                    under_way[TO_CLIENT] += data.len() as i64;
                }
                Message::Credit { bytes } => under_way[TO_AGENT] -= i64::from(*bytes),
                _ => drop(to_clients.remove(&said.channel)),
            }
        }
        Step::DropLink(_) => {}
        Step::Nothing => assert!(!to_clients.contains_key(&said.channel)),
        Step::ToAgent(_) | Step::DropClient(..) => panic!("a guest costs a client nothing"),
    }
}

/// Any message, and the more of it the larger `amount` is.
fn message(kind: u8, amount: u8) -> Message {
    let data = || vec![amount; 256 * usize::from(amount)];
    match (kind, amount % 4) {
        (0, _) => Message::Exec(ExecRequest::default()),
        (1, _) => Message::Stdin(data()),
        (2, 0) => Message::Stderr(data()),
        (2, _) => Message::Stdout(data()),
        (3, _) => Message::Credit {
            bytes: 256 * u32::from(amount),
        },
        (4, 0) => Message::Credit { bytes: u32::MAX },
        (4, 1) => Message::StdinEnd,
        (4, 2) => Message::Signal { number: 9 },
        (4, _) => Message::Ping(1),
        (5, 0) => Message::Close,
        (5, 1) => Message::Detach,
        (5, _) => Message::Ready,
        (6, _) => Message::Exit {
            status: ExitStatus::Code { code: 0 },
        },
        _ => Message::Error {
            message: "no".to_owned(),
            hint: None,
        },
    }
}
