//! `ignited`: how soon a manifest is seen, and what many that do not change cost.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, Running, wait_until};

use super::{Case, Unit};

const DIRECTORY: &str = "etc/firecracker/manifests";
const RUNS: usize = 21;
const MANY: usize = 1000;

/// How long nothing happens.
const IDLE: Duration = Duration::from_secs(60);

/// Time between two looks at everything, and how many of them are measured.
const RESCAN: Duration = Duration::from_secs(2);
const RESCANS: u32 = 5;

/// Until the daemon is at rest, and its last status written.
const REST: Duration = Duration::from_secs(5);

/// No look at everything but the first.
const NEVER: Duration = Duration::from_secs(3600);

pub fn run() -> Result<Vec<Case>> {
    let mut cases = vec![seen()?];
    cases.extend(idle()?);
    Ok(cases)
}

/// The daemon, with its log where we read it.
fn daemon(host: &Host, rescan: Duration) -> Result<Running> {
    let seconds = rescan.as_secs();
    host.sh(&format!(
        "exec ignited daemon --rescan-interval {seconds}s 2>&1"
    ))
    .start()
}

/// A file of the host, written without a process in between.
fn path(host: &Host, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root", host.pid()))
        .join(DIRECTORY)
        .join(file)
}

fn manifest(name: &str) -> String {
    format!(
        "apiVersion: ignite.weave.works/v1alpha4\nkind: VM\nmetadata: {{ name: {name} }}\n\
         spec: {{ image: {{ oci: busy }} }}\nstatus: {{ running: false }}\n"
    )
}

fn seen() -> Result<Case> {
    let host = Host::with_stand_in("bench-seen")?;
    let mut daemon = daemon(&host, NEVER)?;
    wait_until("the directory", Duration::from_secs(20), || {
        fs::read_dir(path(&host, ""))
    })?;
    let mut values = Vec::new();
    for round in 0..=RUNS {
        // The last VM is made, and the daemon at rest.
        thread::sleep(Duration::from_millis(300));
        let name = format!("vm{round}");
        let text = manifest(&name);
        let began = Instant::now();
        fs::write(path(&host, &format!("{name}.yaml")), text)?;
        daemon.wait_for(&format!("file=\"{name}.yaml\""), Duration::from_secs(20))?;
        if round > 0 {
            values.push(began.elapsed().as_secs_f64() * 1000.0);
        }
    }
    let name = "from a manifest's write to the first reconcile step in the log";
    Ok(Case::new("ignited", name, Unit::Milliseconds, &values).at_most(50.0))
}

fn idle() -> Result<Vec<Case>> {
    let host = Host::with_stand_in("bench-idle")?;
    let running = daemon(&host, NEVER)?;
    make_many(&host)?;
    let idle = spent(&host, IDLE)?;
    host.sh("kill $(pidof ignited)").ok()?;
    running.wait(Duration::from_secs(60))?;
    let _running = daemon(&host, RESCAN)?;
    let rescans = spent(&host, RESCAN * RESCANS)?;
    let case = |name: String, value: f64, limit: f64| {
        Case::new("ignited", &name, Unit::Milliseconds, &[value]).at_most(limit)
    };
    Ok(vec![
        case(
            format!("CPU time of a minute with {MANY} unchanged manifests, without a rescan"),
            idle,
            1.0,
        ),
        case(
            format!("CPU time of a periodic rescan of {MANY} unchanged manifests"),
            rescans / f64::from(RESCANS),
            100.0,
        ),
    ])
}

/// Writes the manifests, and waits until there is a VM of each.
fn make_many(host: &Host) -> Result<()> {
    wait_until("the directory", Duration::from_secs(20), || {
        fs::read_dir(path(host, ""))
    })?;
    for number in 0..MANY {
        fs::write(
            path(host, &format!("vm{number}.yaml")),
            manifest(&format!("vm{number}")),
        )?;
    }
    wait_until("all VMs", Duration::from_secs(300), || {
        let count = host.ignite(["ps", "-a", "-q"]).ok()?.lines().count();
        ensure!(count == MANY, "{count} VMs");
        anyhow::Ok(())
    })
}

/// Milliseconds that the daemon, once at rest, spends on processors in that time.
fn spent(host: &Host, time: Duration) -> Result<f64> {
    thread::sleep(REST);
    let daemon = host
        .processes()?
        .into_iter()
        .find(|process| process.name() == "ignited");
    let pid = daemon.context("the daemon is gone")?.pid;
    let pid = pid.as_raw_nonzero().get();
    let before = cpu_time(pid)?;
    thread::sleep(time);
    Ok(cpu_time(pid)? - before)
}

/// Milliseconds all threads of a process have spent on processors.
fn cpu_time(pid: i32) -> Result<f64> {
    let mut nanoseconds = 0.0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        let first = text.split_whitespace().next().context("no times")?;
        nanoseconds += first.parse::<f64>()?;
    }
    Ok(nanoseconds / 1e6)
}
