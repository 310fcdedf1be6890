use super::*;

fn end_of(evidence: Evidence) -> End {
    outcome(&evidence, "vm").end
}

fn reset() -> Evidence {
    Evidence {
        ready: true,
        shutdown: Some(Reason::GuestReset),
        status: Some(Status::Code(0)),
        ..Evidence::default()
    }
}

#[test]
fn a_reset_is_a_reboot_only_if_somebody_said_so() {
    let said = Evidence {
        going: Some(PowerAction::Reboot),
        ..reset()
    };
    let kernel = Evidence {
        last_words: Some(LastWords::Restart),
        ..reset()
    };
    let panic = Evidence {
        last_words: Some(LastWords::Panic),
        ..said.clone()
    };
    assert_eq!(end_of(said), End::Rebooted);
    assert_eq!(end_of(kernel), End::Rebooted);
    assert_eq!(end_of(panic), End::Panicked);
    assert_eq!(end_of(reset()), End::Panicked);
}

/// What Firecracker's supervisor sees at the end of a VM that was up.
fn switchless(change: impl FnOnce(&mut Evidence)) -> Evidence {
    let mut evidence = Evidence {
        ready: true,
        switchless: true,
        ..Evidence::default()
    };
    change(&mut evidence);
    evidence
}

fn reset_with(change: impl FnOnce(&mut Evidence)) -> Evidence {
    switchless(|evidence| {
        evidence.shutdown = Some(Reason::GuestReset);
        evidence.status = Some(Status::Code(0));
        change(evidence);
    })
}

fn ended_with(verdict: Verdict, change: impl FnOnce(&mut Evidence)) -> Evidence {
    switchless(|evidence| {
        evidence.verdict = Some(verdict);
        evidence.shutdown = Some(Reason::Quit);
        evidence.status = Some(Status::Signal(9));
        change(evidence);
    })
}

#[test]
fn every_end_of_a_machine_without_a_switch() {
    let restart = Some(LastWords::Restart);
    let cases = [
        (
            reset_with(|it| (it.going, it.last_words) = (Some(PowerAction::PowerOff), restart)),
            End::PoweredOff,
        ),
        (
            reset_with(|it| it.going = Some(PowerAction::PowerOff)),
            End::PoweredOff,
        ),
        (
            // Ctrl-Alt-Del, and no agent.
            reset_with(|it| (it.stopping, it.last_words) = (true, restart)),
            End::PoweredOff,
        ),
        (
            // Ctrl-Alt-Del, which is an order to reboot.
            reset_with(|it| (it.stopping, it.going) = (true, Some(PowerAction::Reboot))),
            End::PoweredOff,
        ),
        (
            reset_with(|it| (it.going, it.last_words) = (Some(PowerAction::Reboot), restart)),
            End::Rebooted,
        ),
        (reset_with(|it| it.last_words = restart), End::Rebooted),
        (
            reset_with(|it| {
                it.going = Some(PowerAction::PowerOff);
                it.last_words = Some(LastWords::Panic);
            }),
            End::Panicked,
        ),
        (reset_with(|it| it.stopping = true), End::Panicked),
        (reset_with(|_| {}), End::Panicked),
        (
            ended_with(Verdict::KernelGone(LastWords::PowerOff), |_| {}),
            End::PoweredOff,
        ),
        (
            ended_with(Verdict::KernelGone(LastWords::Halted), |it| {
                it.going = Some(PowerAction::PowerOff);
            }),
            End::PoweredOff,
        ),
        (
            ended_with(Verdict::KernelGone(LastWords::Halted), |it| {
                it.going = Some(PowerAction::Halt);
            }),
            End::Halted,
        ),
        (ended_with(Verdict::HaltAnnounced, |_| {}), End::Halted),
        (ended_with(Verdict::Kill, |_| {}), End::Killed),
        (ended_with(Verdict::GraceOver, |_| {}), End::Killed),
        (
            ended_with(Verdict::BootTimeout, |it| it.ready = false),
            End::BootTimeout,
        ),
    ];
    for (evidence, end) in cases {
        assert_eq!(end_of(evidence.clone()), end, "{evidence:?}");
    }
}

#[test]
fn powering_off_without_a_switch_is_no_complaint() {
    for evidence in [
        reset_with(|it| it.going = Some(PowerAction::PowerOff)),
        ended_with(Verdict::KernelGone(LastWords::PowerOff), |_| {}),
    ] {
        let outcome = outcome(&evidence, "web");
        assert_eq!((outcome.message, outcome.hint), (None, None));
    }
}

#[test]
fn a_vmm_that_broke_is_quoted_whatever_its_code() {
    let broken = |it: &mut Evidence| it.broken = Some("KVM_EXIT_INTERNAL_ERROR".to_owned());
    let crashed = switchless(|it| {
        broken(it);
        it.status = Some(Status::Code(0));
    });
    let slow = ended_with(Verdict::BootTimeout, broken);
    for evidence in [crashed, slow] {
        let outcome = outcome(&evidence, "web");
        assert_eq!(outcome.end, End::VmmFailed);
        assert_eq!(outcome.message.as_deref(), Some("KVM_EXIT_INTERNAL_ERROR"));
        assert!(outcome.hint.is_some());
    }
    assert_eq!(end_of(ended_with(Verdict::Kill, broken)), End::Killed);
}

#[test]
fn what_the_guest_did_goes_before_what_was_done_to_it() {
    let evidence = Evidence {
        shutdown: Some(Reason::GuestPowerOff),
        verdict: Some(Verdict::Kill),
        ..Evidence::default()
    };
    assert_eq!(end_of(evidence), End::PoweredOff);
}

#[test]
fn verdicts_name_the_end() {
    let cases = [
        (Verdict::Kill, End::Killed),
        (Verdict::GraceOver, End::Killed),
        (Verdict::BootTimeout, End::BootTimeout),
        (Verdict::HaltAnnounced, End::Halted),
        (Verdict::KernelGone(LastWords::Halted), End::Halted),
        (Verdict::KernelGone(LastWords::Panic), End::Panicked),
    ];
    for (verdict, end) in cases {
        for shutdown in [None, Some(Reason::Quit)] {
            let evidence = Evidence {
                verdict: Some(verdict),
                shutdown,
                ..Evidence::default()
            };
            assert_eq!(end_of(evidence), end, "{verdict:?} {shutdown:?}");
        }
    }
}

#[test]
fn a_vmm_without_memory_is_told_so_unless_it_was_killed() {
    let evidence = Evidence {
        status: Some(Status::Signal(9)),
        out_of_memory: true,
        ready: true,
        ..Evidence::default()
    };
    let killed = Evidence {
        verdict: Some(Verdict::Kill),
        ..evidence.clone()
    };
    let outcome = outcome(&evidence, "web");
    assert_eq!(outcome.end, End::VmmFailed);
    let message = outcome.message.expect("a message");
    assert!(
        message.ends_with("ran out of the memory it may use"),
        "{message}"
    );
    assert!(outcome.hint.is_some_and(|hint| hint.contains("bound")));
    assert_eq!(end_of(killed), End::Killed);
}

#[test]
fn a_vmm_that_ends_without_a_word_failed() {
    let evidence = Evidence {
        status: Some(Status::Signal(9)),
        ..Evidence::default()
    };
    let outcome = outcome(&evidence, "web");
    assert_eq!(outcome.end, End::VmmFailed);
    assert_eq!(
        outcome.message.as_deref(),
        Some("the virtual machine monitor ended by itself with signal 9")
    );
    assert_eq!(
        outcome.hint.as_deref(),
        Some("see the console: ignite logs web")
    );
}

#[test]
fn an_end_before_ready_is_told() {
    let evidence = Evidence {
        shutdown: Some(Reason::GuestPowerOff),
        ..Evidence::default()
    };
    let outcome = outcome(&evidence, "web");
    let message = outcome.message.expect("a message");
    assert_eq!(message, "the guest powered off before it was ready");
    assert!(outcome.hint.is_some());
}

#[test]
fn a_guest_that_says_why_it_does_not_start_is_quoted() {
    let complaint = |hint: &str| Complaint {
        message: "the disk is no ext4".into(),
        hint: hint.into(),
    };
    let mut evidence = Evidence {
        shutdown: Some(Reason::GuestPowerOff),
        complaint: Some(complaint("try another")),
        ..Evidence::default()
    };
    let quoted = outcome(&evidence, "web");
    assert_eq!(quoted.end, End::PoweredOff);
    assert_eq!(
        quoted.message.as_deref(),
        Some("the guest cannot start: the disk is no ext4")
    );
    assert_eq!(quoted.hint.as_deref(), Some("try another"));
    evidence.complaint = Some(complaint(""));
    let hint = outcome(&evidence, "web").hint.expect("a hint");
    assert!(hint.contains("ignite logs web"));
    // Once it was up, how it ended is what counts.
    evidence.ready = true;
    assert_eq!(outcome(&evidence, "web").message, None);
}

#[test]
fn a_lost_network_is_why_the_guest_was_shut_down() {
    let evidence = Evidence {
        stopping: true,
        command: Some((143, Duration::ZERO)),
        complaint: Some(Complaint {
            message: "no".into(),
            hint: String::new(),
        }),
        shutdown: Some(Reason::GuestPowerOff),
        lost_holder: Some("ignite-1".into()),
        ..Evidence::default()
    };
    let outcome = outcome(&evidence, "web");
    assert_eq!((outcome.end, outcome.exit_code), (End::NetworkLost, None));
    assert!(outcome.message.expect("a message").contains("ignite-1"));
    assert!(outcome.hint.expect("a hint").contains("ignite start web"));
}

#[test]
fn a_stop_is_no_sudden_end() {
    let evidence = Evidence {
        ready: true,
        stopping: true,
        command: Some((143, Duration::ZERO)),
        shutdown: Some(Reason::GuestPowerOff),
        ..Evidence::default()
    };
    let outcome = outcome(&evidence, "web");
    assert_eq!(
        (outcome.exit_code, outcome.message, outcome.hint),
        (Some(143), None, None)
    );
}

#[test]
fn a_sudden_end_of_the_command_brings_a_hint() {
    let ended = |after| Evidence {
        ready: true,
        command: Some((3, after)),
        shutdown: Some(Reason::GuestPowerOff),
        ..Evidence::default()
    };
    let sudden = outcome(&ended(Duration::from_millis(200)), "web");
    assert_eq!(sudden.exit_code, Some(3));
    assert!(sudden.hint.expect("a hint").contains("ignite logs web"));
    let later = outcome(&ended(Duration::from_secs(2)), "web");
    assert_eq!((later.exit_code, later.hint), (Some(3), None));
}

#[test]
fn those_at_the_console_hear_how_it_ended() {
    let said = |end, exit_code, message: Option<&str>| {
        let outcome = Outcome {
            end,
            exit_code,
            message: message.map(str::to_owned),
            hint: None,
        };
        match outcome.farewell() {
            Message::Exit { status } => Ok(status.code()),
            Message::Error { message, .. } => Err(message),
            other => panic!("{other:?} is no farewell"),
        }
    };
    assert_eq!(said(End::PoweredOff, Some(3), None), Ok(3));
    assert_eq!(said(End::PoweredOff, None, None), Ok(0));
    assert_eq!(said(End::Killed, None, None), Ok(137));
    let panicked = said(End::Panicked, None, Some("the guest's kernel panicked"));
    assert!(panicked.is_err_and(|message| message.contains("panicked")));
}
