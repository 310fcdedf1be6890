//! What confinement costs: a figure to look at, printed by
//! `cargo test -p ignite-host --release confine::tests::cost -- --ignored --nocapture`.

use super::*;
use std::time::{Duration, Instant};

const RUNS: usize = 50;

fn median(mut run: impl FnMut() -> Duration) -> (Duration, Duration) {
    let mut all: Vec<Duration> = (0..RUNS)
        .map(|_| {
            // The kernel takes namespaces apart behind our back, for longer than they take to make.
            std::thread::sleep(Duration::from_millis(50));
            run()
        })
        .collect();
    all.sort_unstable();
    (all[RUNS / 2], all[0])
}

/// Until the program runs, which then ends; how long that takes is not counted.
fn start(spec: Spec, begun: Instant) -> Duration {
    let child = process::spawn(spec).expect("a child");
    let took = begun.elapsed();
    child.wait().expect("waited");
    took
}

#[test]
#[ignore = "measures"]
fn of_a_start() {
    let program = std::env::current_exe().expect("this program");
    let bare = median(|| {
        start(
            inner(&program, "no such test").user(USER, USER),
            Instant::now(),
        )
    });
    let plan = plan();
    let room = median(|| {
        let begun = Instant::now();
        let room = Room::make(&plan, USER).expect("a room");
        let took = begun.elapsed();
        drop(room);
        took
    });
    let whole = |with_landlock: bool| {
        median(|| {
            let begun = Instant::now();
            let room = Room::make(&plan, USER).expect("a room");
            let mut confine = Confine::new(room, LIMITS);
            if with_landlock {
                confine.landlock = landlock(&plan, &confine.room, &[]).expect("rules");
            }
            start(inner(PROGRAM, "no such test").confine(confine), begun)
        })
    };
    let (without, with) = (whole(false), whole(true));
    println!(
        "bare start {bare:?}, room {room:?}, confined start {without:?}, with landlock {with:?}"
    );
}
