//! From the VMM's start to the agent's word, against a bare kernel with an empty init.

use std::process::{Command, Stdio};
use std::time::Instant;
use std::{fs, io::Read as _};

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, place};
use serde_json::Value;

use super::start::number;
use super::{Case, Unit};

const RUNS: usize = 7;

/// The word of the empty init.
const WORD: &str = "bare-init-is-up";

/// At most half as much again as the bare kernel needs.
pub fn run() -> Result<Vec<Case>> {
    let host = Host::new("bench-boot")?;
    let (mut ready, mut bare) = (Vec::new(), Vec::new());
    let mut machine = None;
    for round in 0..=RUNS {
        let name = format!("vm-{round}");
        let output = host
            .ignite(["run", "--name", &name, "--timings=json", "busy"])
            .output()?;
        let line = output.stderr.lines().rfind(|line| line.starts_with('{'));
        let timings: Value =
            serde_json::from_str(line.with_context(|| format!("no timings: {}", output.stderr))?)?;
        if machine.is_none() {
            machine = Some(Bare::like(&host)?);
        }
        host.ignite(["rm", "-f", &name]).ok()?;
        let milliseconds = machine.as_ref().expect("made above").boot(&host)?;
        // The first of each fills the page cache.
        if round > 0 {
            ready.push(number(&timings, "bootMs")?);
            bare.push(milliseconds);
        }
    }
    let bare = Case::new(
        "boot",
        "bare kernel with an empty init",
        Unit::Milliseconds,
        &bare,
    );
    let ready = Case::new(
        "boot",
        "VMM's start until the agent is ready",
        Unit::Milliseconds,
        &ready,
    )
    .against(&bare, 1.5);
    Ok(vec![bare, ready])
}

/// The same machine as a VM's, without devices, with an init that says a word.
struct Bare {
    argv: Vec<String>,
}

impl Bare {
    /// Takes machine, kernel and command line from the host's one VM.
    fn like(host: &Host) -> Result<Self> {
        let pid = host.sh("pidof qemu-system-x86_64").ok()?;
        let proc = format!("/proc/{}", pid.trim());
        let cmdline = host.sh(&format!("tr '\\0' '\\n' <{proc}/cmdline")).ok()?;
        let words: Vec<&str> = cmdline.lines().collect();
        let value = |option: &str| {
            let at = words.iter().position(|word| word == &option)?;
            words.get(at + 1).copied()
        };
        let mut argv = vec![words.first().copied().unwrap_or_default().to_owned()];
        for option in [
            "-M", "-machine", "-accel", "-cpu", "-m", "-smp", "-kernel", "-append",
        ] {
            let Some(value) = value(option) else { continue };
            // What the VM's QEMU was given open has a name on the host.
            let value = match value.strip_prefix("/proc/self/") {
                Some(open) => host.sh(&format!("readlink {proc}/{open}")).ok()?,
                None => value.to_owned(),
            };
            argv.extend([option.to_owned(), value]);
        }
        ensure!(
            argv.iter().any(|word| word == "-kernel"),
            "no kernel in: {cmdline}"
        );
        let initrd = initrd()?;
        argv.extend(
            [
                "-nodefaults",
                "-no-user-config",
                "-nographic",
                "-no-reboot",
                "-serial",
                "stdio",
                "-initrd",
            ]
            .map(str::to_owned),
        );
        argv.push(initrd);
        Ok(Self { argv })
    }

    /// Milliseconds from QEMU's start to the word.
    fn boot(&self, host: &Host) -> Result<f64> {
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &host.pid().to_string(), "-m", "-n", "-p", "--"])
            .args(&self.argv);
        let begun = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start QEMU")?;
        let mut output = child.stdout.take().context("no output")?;
        let (mut said, mut chunk) = (Vec::new(), [0; 1024]);
        let mut milliseconds = None;
        while milliseconds.is_none() {
            let read = output.read(&mut chunk)?;
            ensure!(
                read > 0,
                "the bare kernel said: {}",
                String::from_utf8_lossy(&said)
            );
            said.extend_from_slice(&chunk[..read]);
            if said
                .windows(WORD.len())
                .any(|bytes| bytes == WORD.as_bytes())
            {
                milliseconds = Some(begun.elapsed().as_secs_f64() * 1e3);
            }
        }
        child.kill()?;
        child.wait()?;
        milliseconds.context("no word")
    }
}

/// An initramfs that holds nothing but the empty init.
fn initrd() -> Result<String> {
    let directory = place::build("bench/bare");
    fs::create_dir_all(directory.join("root/dev"))?;
    let source = format!(
        "#include <unistd.h>\nint main(void){{write(1,\"{WORD}\\n\",{});for(;;)pause();}}\n",
        WORD.len() + 1
    );
    fs::write(directory.join("init.c"), source)?;
    let script = "cc -O2 -static -s -o root/init init.c\n\
        [ -e root/dev/console ] || mknod root/dev/console c 5 1\n\
        (cd root && find . | cpio --quiet -o -H newc) >bare.cpio";
    let made = Command::new("sh")
        .args(["-euc", script])
        .current_dir(&directory)
        .status()?;
    ensure!(made.success(), "cannot make the empty init's initramfs");
    Ok(directory.join("bare.cpio").display().to_string())
}
