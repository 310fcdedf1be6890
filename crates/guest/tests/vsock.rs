//! The guest program on a machine without a virtio console and without a power switch: its agent comes
//! by vsock, and its end is a reset.

mod machine;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use ignite_wire::agent::{ExitStatus, Frame, Message, PowerAction};
use ignite_wire::guest::Process;
use ignite_wire::vsock::{Answer, request};
use machine::{Agent, HELPER, Kernel, Machine, PATIENCE, config, listen};

/// Where the guest's program listens.
const PORT: u32 = 7777;

#[test]
fn the_agent_is_driven_and_the_end_is_a_reset() {
    let config = config(&[HELPER, "vsock", &PORT.to_string()]);
    let (mut machine, listener) = Machine::start(&Kernel::imported(), &config, listen);
    let mut agent = Agent::accept(&listener);

    let input: Vec<u8> = (0..8u32 << 20).map(|at| (at % 251) as u8).collect();
    let ran = agent.copy(7, &input);
    assert!(ran.stdout == input, "{} bytes came back", ran.stdout.len());
    assert_eq!(ran.stderr, b"done\n");
    assert_eq!(ran.status, ExitStatus::Code { code: 7 });

    // The host goes and comes again.
    drop(agent);
    let mut agent = Agent::accept(&listener);
    assert_eq!(agent.copy(0, b"again").stdout, b"again");

    assert_eq!(echo(&machine, b"from the host"), b"from the host");
    assert_eq!(refused(&machine), b"");

    agent.tell(Message::Shutdown { grace_ms: 60_000 });
    let ended = Message::Ended { code: 128 + 15 };
    let action = PowerAction::PowerOff;
    assert_eq!(agent.hear(), Frame::link(ended));
    assert_eq!(agent.hear(), Frame::link(Message::Going { action }));
    assert!(agent.ends(), "it goes on, or did not ask");
    assert!(machine.wait_for_end().contains("\"guest-reset\""));
}

/// What the guest's program gives back; it may not listen yet.
fn echo(machine: &Machine, bytes: &[u8]) -> Vec<u8> {
    let deadline = Instant::now() + PATIENCE;
    let mut stream = loop {
        if let Some(stream) = machine_port(machine) {
            break stream;
        }
        assert!(Instant::now() < deadline, "nobody listens in the guest");
        std::thread::sleep(Duration::from_millis(50));
    };
    stream.write_all(bytes).expect("the guest reads");
    // Not to its end: the device closes both ways at once.
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).expect("before the limit");
    back
}

fn machine_port(machine: &Machine) -> Option<std::os::unix::net::UnixStream> {
    let mut stream = machine.dial();
    stream
        .write_all(request(PORT).as_bytes())
        .expect("a request");
    let mut answer = Answer::default();
    let mut byte = [0];
    while stream.read(&mut byte).is_ok_and(|count| count == 1) {
        if answer.push(&byte).expect("an answer").is_some() {
            return Some(stream);
        }
    }
    None
}

/// What is answered for a port nobody listens at.
fn refused(machine: &Machine) -> Vec<u8> {
    let mut stream = machine.dial();
    stream
        .write_all(request(PORT + 1).as_bytes())
        .expect("a request");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn a_host_that_listens_late_is_found() {
    let config = config(&[HELPER, "vsock", &PORT.to_string()]);
    let (machine, ()) = Machine::start(&Kernel::imported(), &config, |_| ());
    machine.wait_for_console("ignite: waiting for the host");
    let listener = machine.listen();
    let mut agent = Agent::accept(&listener);
    assert_eq!(agent.copy(0, b"late").stdout, b"late");

    // Whoever goes without a word, and leaves nobody who listens.
    machine.stop_listening(listener);
    drop(agent);
    // For attempts that fail: without any this would prove less, and pass.
    std::thread::sleep(Duration::from_millis(500));
    let listener = machine.listen();
    assert_eq!(Agent::accept(&listener).copy(0, b"later").stdout, b"later");
}

#[test]
fn a_guest_that_cannot_start_says_why_before_the_reset() {
    let mut config = config(&[HELPER]);
    config.root.device = "/dev/vdz".to_owned();
    let (mut machine, listener) = Machine::start(&Kernel::imported(), &config, listen);
    let complaint = Agent::complaint(&listener);
    assert!(complaint.contains("/dev/vdz did not appear"), "{complaint}");
    assert!(machine.wait_for_end().contains("\"guest-reset\""));
}

#[test]
fn a_kernel_without_vsock_is_told_on_the_console() {
    let config = config(&[HELPER]);
    let (mut machine, ()) = Machine::start(&Kernel::without_vsock(), &config, |_| ());
    assert!(machine.wait_for_end().contains("\"guest-reset\""));
    let console = machine.console();
    assert!(console.contains("this kernel has no vsock"), "{console}");
    assert!(
        console.contains("ignite: hint: use a kernel with virtio-vsock"),
        "{console}"
    );
}

#[test]
fn a_command_is_asked_to_end_by_its_own_signal() {
    let mut config = config(&[HELPER, "vsock", &PORT.to_string()]);
    if let Process::Command { stop_signal, .. } = &mut config.process {
        *stop_signal = Some(3);
    }
    let (mut machine, listener) = Machine::start(&Kernel::imported(), &config, listen);
    let mut agent = Agent::accept(&listener);
    agent.tell(Message::Shutdown { grace_ms: 60_000 });
    let ended = Message::Ended { code: 128 + 3 };
    assert_eq!(agent.hear(), Frame::link(ended));
    assert!(machine.wait_for_end().contains("\"guest-reset\""));
}
