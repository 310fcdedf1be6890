//! A table of situations with the step each leads to, and random histories that must end well.

mod history;
mod table;

use std::sync::Arc;

use ignite_api::{RestartPolicy, Uid, Vm};
use ignite_engine::keep::{Change, Difference, Kept};
use ignite_engine::{End, Managed, State};
use jiff::Timestamp;

/// A uid that ends with this number.
pub fn uid(number: u64) -> Uid {
    format!("{number:016}").parse().expect("16 digits")
}

/// A VM as a manifest may have it.
pub fn vm(name: &str, running: bool, policy: Option<RestartPolicy>) -> Arc<Vm> {
    let mut vm = Vm::of_image("box:1".parse().expect("a reference"));
    vm.metadata.name = name.into();
    vm.status.running = running;
    vm.spec.restart_policy = policy;
    Arc::new(vm)
}

/// A VM that was created after `file`.
pub fn kept(number: u64, name: &str, file: &str) -> Kept {
    Kept {
        uid: uid(number),
        name: name.into(),
        managed: Managed {
            by: "here".into(),
            file: file.into(),
            wanted: false,
            defaults: None,
        },
        state: State::Created,
        end: None,
        exit_code: None,
        message: None,
        started: None,
        ended: None,
        addresses: Vec::new(),
    }
}

/// The same, running since that second.
pub fn running(kept: Kept, second: i64) -> Kept {
    let started = Timestamp::from_second(second).ok();
    let managed = Managed {
        wanted: true,
        ..kept.managed
    };
    Kept {
        state: State::Running,
        started,
        managed,
        ..kept
    }
}

/// The same, ended in that second.
pub fn ended(kept: Kept, second: i64, end: End, exit_code: Option<i32>) -> Kept {
    Kept {
        state: State::Stopped,
        end: Some(end),
        exit_code,
        ended: Timestamp::from_second(second).ok(),
        ..kept
    }
}

/// A difference in these fields.
pub fn difference(in_place: &[&str], recreate: &[&str]) -> Difference {
    let changes = |paths: &[&str]| {
        let change = |path: &&str| Change {
            path: (*path).into(),
            from: "1".into(),
            to: "2".into(),
        };
        paths.iter().map(change).collect()
    };
    Difference {
        in_place: changes(in_place),
        recreate: changes(recreate),
        restart: false,
    }
}
