//! What a guest that has broken out of its VMM can do: nothing. A program of ours is in the VMM's
//! place, confined as QEMU is, and tries; real guests beside it go on.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::host::processes::Process;
use ignite_testkit::{Host, Invocation, place, vmm, wait_until};
use rustix::process::Signal;

use crate::crashes::scenes::kill_supervisor;
use crate::crashes::steps::halted;
use crate::spoofing::{IPV4, frame, ipv4};
use crate::support::{SOON, Vm, nothing_left};

/// The VMM's program, the stand-in's as well, which plays QEMU here whatever the suite runs.
const VMM: &str = "qemu-system-x86_64";

/// What a probe may find all the same: what its VM has, it was given.
const GIVEN: [&str; 1] = ["hold a descriptor nobody gave it"];

/// `run` with the stand-in as the VMM and these words for it.
fn mischief(host: &Host, options: &[&str], kernel_arguments: &str) -> Result<Invocation> {
    let words = [options, &["--kernel-args", kernel_arguments]].concat();
    let path = format!(
        "{}:/usr/sbin:/usr/bin:/sbin:/bin",
        place::stand_in()?.display()
    );
    let image = place::image("busy")?;
    let run = Vm::invocation(host, &words, &image, &[]);
    Ok(run.env("PATH", path).env(vmm::CHOICE, "qemu"))
}

fn run<'h>(host: &'h Host, options: &[&str], kernel_arguments: &str) -> Result<Vm<'h>> {
    let uid = mischief(host, options, kernel_arguments)?.ok()?;
    Ok(Vm { host, uid })
}

/// A number of the VM's control group, from the file of one of its controllers.
fn counted(vm: &Vm<'_>, controller: &str, file: &str) -> Result<u64> {
    let path = format!("/sys/fs/cgroup/{controller}/ignite/{}/{file}", vm.uid);
    let text = vm.host.sh(&format!("cat {path}")).ok()?;
    text.trim()
        .parse()
        .with_context(|| format!("{path} says {text}"))
}

/// The console once it says `word`.
fn console(vm: &Vm<'_>, word: &str) -> Result<String> {
    wait_until(&format!("{word:?} on the console"), SOON, || {
        let said = vm.host.ignite(["logs", &vm.uid]).ok()?;
        ensure!(said.contains(word), "{said}");
        Ok(said)
    })
}

#[test]
fn a_program_in_the_vmms_place_is_refused_everything() -> Result<()> {
    let host = Host::new("alpha")?;
    let other = run(&host, &[], "quiet")?;
    let disk = format!("/var/lib/ignite/vm/{}/disk.qcow2", other.uid);
    let socket = format!("/run/ignite/vm/{}/control.sock", other.uid);
    // Whatever protects them, it is not their modes.
    host.sh(&format!(
        "chmod -R a+rwX /run/ignite /var/lib/ignite/vm; test -S {socket}; cat {disk} > /dev/null"
    ))
    .ok()?;
    let vm = run(&host, &[], &format!("standin.probe={disk},{socket}"))?;
    let said = console(&vm, "probe: done")?;
    let could: Vec<&str> = said
        .lines()
        .filter_map(|line| line.trim().strip_prefix("probe: COULD "))
        .filter(|what| !GIVEN.iter().any(|given| what.starts_with(given)))
        .collect();
    assert!(could.is_empty(), "{could:#?}");
    let refused = said.matches("probe: refused to ").count();
    assert!(refused > 50, "only {refused} attempts:\n{said}");
    host.ignite(["rm", "-f", &vm.uid, &other.uid]).ok()?;
    nothing_left(&host)
}

#[test]
fn each_vm_is_told_to_be_confined_as_another_user() -> Result<()> {
    let host = Host::new("alpha")?;
    let (one, two) = (run(&host, &[], "quiet")?, run(&host, &[], "quiet")?);
    let confinement = |vm: &Vm<'_>| anyhow::Ok(vm.inspect()?["status"]["confinement"].clone());
    let (first, second) = (confinement(&one)?, confinement(&two)?);
    assert_eq!(first["cgroup"], format!("ignite/{}", one.uid));
    assert!(first.get("missing").is_none(), "{first}");
    assert!(first["user"].as_u64() >= Some(2_080_374_784), "{first}");
    assert_ne!(first["user"], second["user"]);
    one.verb("stop")?;
    assert!(one.inspect()?["status"].get("confinement").is_none());
    one.verb("start")?;
    assert_eq!(confinement(&one)?["user"], first["user"], "for life");
    Ok(())
}

#[test]
fn bombs_and_hogs_end_in_their_group() -> Result<()> {
    let host = Host::new("alpha")?;
    let neighbour = run(&host, &[], "quiet")?;

    let bomb = run(&host, &[], "standin.bomb")?;
    let said = console(&bomb, "bomb: ")?;
    let limit = counted(&bomb, "pids", "pids.max")?;
    assert!(counted(&bomb, "pids", "pids.current")? <= limit, "{said}");
    let began = Instant::now();
    let before = counted(&bomb, "cpuacct", "cpuacct.usage")?;
    host.ignite(["exec", &neighbour.uid, "--", "true"]).ok()?;
    let used = wait_until("it to work for a second", SOON, || {
        let used = counted(&bomb, "cpuacct", "cpuacct.usage")? - before;
        ensure!(used > 1_000_000_000, "only {used} ns");
        anyhow::Ok(Duration::from_nanos(used))
    })?;
    // One processor and a half, and a period's worth besides.
    let most = began.elapsed().mul_f32(1.5) + Duration::from_millis(300);
    assert!(used <= most, "{used:?} of {most:?}");

    // It may be gone before the guest is ready.
    let hog = mischief(&host, &["--name", "hog"], "standin.hog")?.output()?;
    let told = "ran out of the memory it may use";
    if hog.code == 0 {
        let vm = Vm {
            host: &host,
            uid: hog.ok()?,
        };
        assert_eq!(vm.ended()?, "vmm-failed");
        assert!(
            vm.status("message")?.contains(told),
            "{}",
            vm.status("message")?
        );
    } else {
        hog.complains(&[told])?;
    }
    for vm in [&neighbour, &bomb] {
        host.ignite(["exec", &vm.uid, "--", "true"]).ok()?;
    }
    host.ignite(["rm", "-f", "hog", &bomb.uid, &neighbour.uid])
        .ok()?;
    nothing_left(&host)
}

#[test]
fn a_vmm_ends_with_its_supervisor_and_its_vm_is_removed() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = run(&host, &[], "standin.outlives")?;
    kill_supervisor(&host)?;
    wait_until("the VMM's end", SOON, || {
        let all = host.processes()?;
        ensure!(
            !all.iter().any(|process| process.name() == VMM),
            "it is there still"
        );
        Ok(())
    })?;
    host.ignite(["stop", &vm.uid]).ok()?;
    host.ignite(["rm", "-f", &vm.uid]).ok()?;
    nothing_left(&host)
}

#[test]
fn a_vmm_without_its_supervisor_is_gone_and_its_group_after_the_next_command() -> Result<()> {
    let host = Host::new("alpha")?;
    for step in ["supervise.grouped", "supervise.started"] {
        let image = place::image("busy")?;
        let starting = Vm::invocation(&host, &["--name", "web"], &image, &[])
            .env(
                "PATH",
                format!(
                    "{}:/usr/sbin:/usr/bin:/sbin:/bin",
                    place::stand_in()?.display()
                ),
            )
            .env(vmm::CHOICE, "qemu")
            .env(ignite_testkit::host::halting::HALT_AT, step)
            .start()?;
        // Nobody is left who would undo the start; the VMM ends by itself.
        let all = halted(&host, step)?;
        let others = all.iter().filter(|process| process.name() != VMM);
        others.for_each(|process| process.signal(Signal::KILL));
        starting.wait(SOON)?;
        host.ignite(["rm", "-f", "web"]).ok()?;
        nothing_left(&host)?;
    }
    Ok(())
}

#[test]
fn a_flood_from_the_vmms_place_takes_nothing_from_a_neighbour() -> Result<()> {
    const BYTES: &str = "20000000";
    const MAC: [u8; 6] = [2, 0, 0, 0, 0x61, 0x77];
    let host = Host::new("alpha")?;
    let neighbour = Vm::run(&host, &[])?;
    let address = format!("{}:80", neighbour.address()?);
    let network = "ignite-cni-bridge:ip=10.61.0.119,mac=02:00:00:00:61:77";
    let own = "10.61.0.119".parse()?;
    let foreign = "10.61.9.9".parse()?;
    for (source, mac) in [(foreign, MAC), (own, [2, 0, 0, 0, 9, 9]), (own, MAC)] {
        let frame = frame("flood", mac, IPV4, &ipv4(source, 9, 9));
        let vm = run(
            &host,
            &["--network", network],
            &format!("standin.flood={frame}"),
        )?;
        let (began, before) = (Instant::now(), counted(&vm, "cpuacct", "cpuacct.usage")?);
        host.helper(&["take", &address, BYTES])?.ok()?;
        let used = Duration::from_nanos(counted(&vm, "cpuacct", "cpuacct.usage")? - before);
        let most = began.elapsed().mul_f32(1.5) + Duration::from_millis(300);
        assert!(used <= most, "{used:?} of {most:?}");
        if (source, mac) != (own, MAC) {
            wait_until("the drops to be counted", SOON, || {
                let vm = vm.inspect()?;
                let refused = &vm["status"]["network"]["interfaces"][0]["refused"]["frames"];
                let frames = refused.as_object().context("no frames")?;
                let total: u64 = frames.values().filter_map(serde_json::Value::as_u64).sum();
                ensure!(total > 1000, "only {refused}");
                Ok(())
            })?;
        }
        host.ignite(["rm", "-f", &vm.uid]).ok()?;
    }
    neighbour.serving()
}

/// Time a process has had of the processors.
fn processor_time(process: &Process) -> Result<Duration> {
    let path = format!("/proc/{}/stat", process.pid.as_raw_nonzero());
    let stat = std::fs::read_to_string(&path).with_context(|| format!("{path} is gone"))?;
    let (_, fields) = stat.rsplit_once(") ").context("no name in it")?;
    let fields = fields.split(' ').skip(11).take(2);
    let ticks: u64 = fields.map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    let rate = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs(ticks) / u32::try_from(rate)?)
}

#[test]
fn a_vmm_that_says_too_much_has_its_share_of_the_supervisor_and_nothing_is_lost() -> Result<()> {
    const FLOOD: Duration = Duration::from_secs(3);
    // Three tenths are for its three streams; for commands, and for finding out who has something to
    // say, there is more than enough.
    const SHARE: f32 = 0.45;
    let host = Host::new("alpha")?;
    let vm = run(&host, &[], "standin.noise")?;
    let all = host.processes()?;
    let mut supervisors = all.iter().filter(|it| it.name() == "ignite-spawn");
    let supervisor = supervisors.next().context("no supervisor")?;
    let (began, before) = (Instant::now(), processor_time(supervisor)?);
    let mut slowest = Duration::ZERO;
    while began.elapsed() < FLOOD {
        let asked = Instant::now();
        assert_eq!(host.ignite(["ps", "-q"]).ok()?, vm.uid);
        // This one asks the supervisor.
        vm.inspect()?;
        slowest = slowest.max(asked.elapsed());
    }
    let (used, time) = (processor_time(supervisor)? - before, began.elapsed());
    assert!(used <= time.mul_f32(SHARE), "{used:?} of {time:?}");
    assert!(slowest < SOON / 2, "{slowest:?} for an answer");
    let said = host.ignite(["logs", &vm.uid]).ok()?;
    // The last one may be half written.
    let lines = said.lines().rev().skip(1);
    let numbers = lines.filter_map(|line| line.strip_prefix("noise "));
    let numbers = numbers.map(str::parse::<u64>);
    let numbers = numbers.collect::<Result<Vec<u64>, _>>()?;
    assert!(numbers.len() > 1000, "only {} lines", numbers.len());
    let gap = numbers.windows(2).find(|pair| pair[0] != pair[1] + 1);
    assert_eq!(gap, None, "a line is lost");
    let asked = Instant::now();
    vm.verb("stop")?;
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "the grace period"
    );
    host.ignite(["rm", &vm.uid]).ok()?;
    nothing_left(&host)
}
