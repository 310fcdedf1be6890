//! Ctrl-C at any moment of `run` undoes the VM.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use ignite_testkit::{Host, boot, place};
use rustix::process::Signal;

use crate::support::{Vm, nothing_left};

/// Moments from the first millisecond to when the guest boots, in ms.
const MOMENTS: &[u64] = &[
    0, 10, 25, 50, 75, 100, 150, 200, 300, 400, 600, 900, 1300, 1800,
];

#[test]
fn an_interrupt_at_any_moment_leaves_nothing() -> Result<()> {
    let host = Host::new("alpha")?;
    let image = place::image("busy")?;
    let images = host.ignite(["images", "-q"]).ok()?;
    for moment in MOMENTS {
        for signal in [Signal::INT, Signal::TERM] {
            let _slot = boot::slot()?;
            let run = Vm::invocation(&host, &["-p", "8080:80"], &image, &[]).start()?;
            thread::sleep(Duration::from_millis(*moment));
            // It may have been quicker.
            let sent = run.signal(signal).is_ok();
            let output = run.wait(Duration::from_secs(90))?;
            if output.code == 0 {
                assert!(
                    !sent || *moment > 500,
                    "the signal after {moment} ms was ignored: {output}"
                );
                host.ignite(["rm", "-f", output.stdout.trim()]).ok()?;
            }
            assert_eq!(
                host.ignite(["ps", "-a", "-q"]).ok()?,
                "",
                "after {moment} ms"
            );
            nothing_left(&host).map_err(|error| error.context(format!("after {moment} ms")))?;
        }
    }
    assert_eq!(host.ignite(["images", "-q"]).ok()?, images, "images stay");
    // And the next run has all it needs.
    Vm::run(&host, &["-p", "8080:80"]).map(drop)
}

#[test]
fn an_interrupted_import_is_taken_up_again() -> Result<()> {
    let host = Host::bare("alpha")?;
    let source = place::image("systemd")?;
    for moment in [50, 200, 500, 1000] {
        let import = host.ignite(["image", "import", &source]).start()?;
        thread::sleep(Duration::from_millis(moment));
        let _ = import.signal(Signal::INT);
        import.wait(Duration::from_secs(60))?;
        nothing_left(&host)?;
    }
    host.ignite(["image", "import", &source]).ok()?;
    assert_eq!(host.ignite(["images", "-q"]).ok()?.lines().count(), 1);
    nothing_left(&host)
}
