//! Lives with Firecracker in the VMM's place.

use std::time::{Duration, Instant};

use ignite_host::cgroup::{Group, of_vm};
use ignite_wire::agent::Message;
use ignite_wire::supervisor::{End, Event};

use super::stage::{PATIENCE, Vm, in_sandbox, plan, stand_in};

#[test]
fn a_vm_is_stopped_in_order_and_has_powered_off() {
    for (uid, confined) in [("00c0ffee00000001", false), ("00c0ffee00000002", true)] {
        in_sandbox(|| {
            let mut vm = Vm::start(uid, "", confined);
            vm.wait_until_ready();
            let mut client = vm.control();
            let deadline = Instant::now() + PATIENCE;
            // At the start, and then when asked for.
            while client.status().vmm.is_none_or(|vmm| vmm.disk_reads < 2) {
                assert!(Instant::now() < deadline, "nothing is counted");
            }
            assert_eq!(client.ask(Message::Pause), Message::Done { changed: true });
            assert!(client.status().paused);
            client.ask(Message::Stop { grace_ms: 20_000 });
            let record = vm.ended();
            assert_eq!((record.end, record.message), (Some(End::PoweredOff), None));
            assert_eq!(vm.left(), [""; 0]);
        });
    }
}

#[test]
fn a_balloon_is_changed_and_told_of() {
    const BALLOON: Message = Message::Balloon { bytes: 32 << 20 };
    in_sandbox(|| {
        let mut vm = Vm::start_as(|directory| {
            let mut plan = plan(directory, "00c0ffee00000009", "", true);
            plan.machine.balloon = Some(64 << 20);
            plan
        });
        vm.wait_until_ready();
        let mut client = vm.control();
        let mut holds = |bytes| {
            let deadline = Instant::now() + PATIENCE;
            while client.status().balloon != Some(bytes) {
                assert!(Instant::now() < deadline, "{bytes} is not told");
            }
            client.ask(BALLOON)
        };
        assert_eq!(holds(64 << 20), Message::Done { changed: true });
        assert_eq!(holds(32 << 20), Message::Done { changed: false });
        client.ask(Message::Stop { grace_ms: 20_000 });
        vm.ended();
    });
    in_sandbox(|| {
        let mut vm = Vm::start("00c0ffee0000000a", "", false);
        vm.wait_until_ready();
        let Message::Error { message, .. } = vm.control().ask(BALLOON) else {
            panic!("it has none");
        };
        assert!(message.contains("without a balloon"), "{message}");
        assert_eq!(vm.control().status().balloon, None);
        vm.control().ask(Message::Kill);
        vm.ended();
    });
}

#[test]
fn what_the_jailer_confines_leaves_no_jail_and_no_group() {
    const UID: &str = "00c0ffee00000006";
    in_sandbox(|| {
        let mut vm = Vm::start_as(|directory| {
            let mut plan = plan(directory, UID, "", true);
            let confinement = plan.confinement.as_mut().expect("confined");
            confinement.jailer = Some(stand_in("jailer"));
            // As a supervisor that was killed leaves it.
            std::fs::create_dir_all(plan.vm_dir.join("jail/firecracker/old")).expect("mkdir");
            plan
        });
        vm.wait_until_ready();
        let jail = vm.directory.path().join("vm/jail");
        let root = jail.join("firecracker").join(UID).join("root");
        assert!(root.join("dev/kvm").exists() && !jail.join("firecracker/old").exists());
        vm.control().ask(Message::Stop { grace_ms: 20_000 });
        let record = vm.ended();
        assert_eq!((record.end, record.message), (Some(End::PoweredOff), None));
        assert!(!jail.exists());
        assert_eq!(vm.left(), [""; 0]);
        let group = Group::find(&of_vm(UID)).expect("readable");
        assert!(!group.exists());
    });
}

#[test]
fn a_guest_that_cannot_reset_itself_is_ended_quickly_and_without_a_complaint() {
    in_sandbox(|| {
        let mut vm = Vm::start("00c0ffee00000003", "standin.halts", false);
        vm.wait_until_ready();
        let begun = Instant::now();
        vm.control().ask(Message::Stop { grace_ms: 60_000 });
        let record = vm.ended();
        assert_eq!((record.end, record.message), (Some(End::PoweredOff), None));
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "its grace period"
        );
    });
}

#[test]
fn a_stop_reaches_an_agent_that_comes_after_it() {
    in_sandbox(|| {
        let mut vm = Vm::start("00c0ffee00000006", "standin.late", false);
        assert!(matches!(vm.event(), Event::Started { .. }));
        let begun = Instant::now();
        vm.control().ask(Message::Stop { grace_ms: 40_000 });
        assert_eq!(vm.ended().end, Some(End::PoweredOff));
        assert!(begun.elapsed() < Duration::from_secs(20), "the button");
    });
}

#[test]
fn a_guest_that_hangs_is_stopped_by_its_button() {
    in_sandbox(|| {
        let mut vm = Vm::start("00c0ffee00000007", "standin.hangs", false);
        vm.wait_until_ready();
        vm.control().ask(Message::Stop { grace_ms: 8_000 });
        assert_eq!(vm.ended().end, Some(End::PoweredOff));
    });
}

#[test]
fn a_stranger_does_not_become_the_agent() {
    in_sandbox(|| {
        // Another program connects before the agent, and says what an agent says.
        let mut vm = Vm::start("00c0ffee00000008", "standin.stranger", false);
        vm.wait_until_ready();
        vm.control().ask(Message::Stop { grace_ms: 20_000 });
        let record = vm.ended();
        assert_eq!((record.end, record.message), (Some(End::PoweredOff), None));
    });
}

#[test]
fn a_kill_is_a_kill() {
    in_sandbox(|| {
        let mut vm = Vm::start("00c0ffee00000004", "", false);
        vm.wait_until_ready();
        vm.control().ask(Message::Kill);
        assert_eq!(vm.ended().end, Some(End::Killed));
        assert_eq!(vm.left(), [""; 0]);
    });
}

#[test]
fn a_vmm_that_breaks_is_told_with_its_words() {
    for (fate, words) in [
        ("standin.breaks", "KVM_EXIT_INTERNAL_ERROR"),
        ("standin.dies", "system call filter"),
    ] {
        in_sandbox(|| {
            let mut vm = Vm::start("00c0ffee00000005", fate, false);
            let failed = loop {
                match vm.event() {
                    Event::Started { .. } => {}
                    event => break event,
                }
            };
            let Event::Failed { message, .. } = failed else {
                panic!("{failed:?}");
            };
            assert!(message.contains(words), "{message}");
            assert_eq!(vm.ended().end, Some(End::VmmFailed));
        });
    }
}
