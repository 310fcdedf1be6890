//! One VM, one situation, one step.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ignite_api::{RestartPolicy, Uid, Vm};
use ignite_engine::End;
use ignite_engine::keep::{Difference, Kept};

use super::super::{Act, Actual, Busy, Differences, Input, Memories, Other, Plan, plan};
use super::{difference, ended, kept, running, uid, vm};
use crate::desired::{Desired, Fault, Key, Wanted};

/// What the daemon knows, for as long as a test asks it to plan.
struct Daemon {
    desired: Desired,
    actual: Actual,
    differences: Differences,
    busy: Busy,
    readable: bool,
    policies: BTreeMap<Uid, RestartPolicy>,
    memories: Memories,
    now: Instant,
}

impl Daemon {
    fn new(manifests: Vec<(&str, Arc<Vm>)>, kept: Vec<Kept>) -> Self {
        let mut daemon = Self {
            desired: Desired::default(),
            actual: Actual {
                kept,
                ..Actual::default()
            },
            differences: Differences::new(),
            busy: Busy::default(),
            readable: true,
            policies: BTreeMap::new(),
            memories: Memories::default(),
            now: Instant::now(),
        };
        daemon.want(manifests);
        daemon
    }

    fn want(&mut self, manifests: Vec<(&str, Arc<Vm>)>) {
        let wanted = manifests.into_iter().map(|(file, vm)| {
            let name = || Key::Name(vm.metadata.name.clone());
            let key = vm.metadata.uid.map_or_else(name, Key::Uid);
            let file = file.to_owned();
            let defaults = Arc::default();
            let wanted = Wanted {
                key: key.clone(),
                file,
                vm,
                defaults,
            };
            (key, wanted)
        });
        self.desired.wanted = wanted.collect();
    }

    fn differs(mut self, difference: Difference) -> Self {
        self.differences.insert(uid(1), Ok(difference));
        self
    }

    fn plan(&mut self) -> Plan {
        let input = Input {
            desired: &self.desired,
            actual: &self.actual,
            differences: &self.differences,
            busy: &self.busy,
            readable: self.readable,
            policies: &self.policies,
        };
        plan(&input, &mut self.memories, self.now)
    }

    fn acts(&mut self) -> Vec<Act> {
        self.plan().orders.iter().map(|order| order.act).collect()
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }
}

fn wants(running: bool) -> Vec<(&'static str, Arc<Vm>)> {
    vec![("a.yaml", vm("web", running, None))]
}

fn web() -> Kept {
    kept(1, "web", "a.yaml")
}

#[test]
fn a_vm_comes_to_be_and_to_run() {
    assert_eq!(Daemon::new(wants(false), vec![]).acts(), [Act::Create]);
    assert_eq!(Daemon::new(wants(true), vec![]).acts(), [Act::Create]);
    assert_eq!(Daemon::new(wants(false), vec![web()]).acts(), []);
    assert_eq!(Daemon::new(wants(true), vec![web()]).acts(), [Act::Start]);
    let runs = running(web(), 1);
    assert_eq!(Daemon::new(wants(true), vec![runs.clone()]).acts(), []);
    assert_eq!(
        Daemon::new(wants(false), vec![runs.clone()]).acts(),
        [Act::Stop]
    );
    let mut by_hand = runs;
    by_hand.managed.wanted = false;
    assert_eq!(
        Daemon::new(wants(true), vec![by_hand.clone()]).acts(),
        [Act::Note]
    );
    assert_eq!(Daemon::new(wants(false), vec![by_hand]).acts(), [Act::Stop]);
}

#[test]
fn the_policy_speaks_of_a_vm_that_ran_and_ended() {
    use RestartPolicy::{Always, Never, OnFailure};
    let table = [
        (Always, End::PoweredOff, Some(0), true),
        (Always, End::Killed, None, true),
        (OnFailure, End::PoweredOff, Some(0), false),
        (OnFailure, End::PoweredOff, None, false),
        (OnFailure, End::PoweredOff, Some(3), true),
        (OnFailure, End::Panicked, None, true),
        (OnFailure, End::Lost, None, true),
        (Never, End::Lost, None, false),
        (Never, End::Panicked, None, false),
    ];
    for (policy, end, code, again) in table {
        let manifest = vec![("a.yaml", vm("web", true, Some(policy)))];
        let was = ended(running(web(), 1), 2, end, code);
        let expected: &[Act] = if again { &[Act::Start] } else { &[] };
        let case = format!("{policy} {end:?} {code:?}");
        // At once: the daemon has only just begun to look.
        let acts = Daemon::new(manifest.clone(), vec![was.clone()]).acts();
        assert_eq!(acts, expected, "{case}");
        // One that was stopped by us is started whatever the policy.
        let mut stopped = was;
        stopped.managed.wanted = false;
        assert_eq!(
            Daemon::new(manifest, vec![stopped]).acts(),
            [Act::Start],
            "{case}"
        );
    }
}

#[test]
fn a_vm_that_keeps_ending_is_left_alone_for_longer_each_time() {
    let mut daemon = Daemon::new(wants(true), vec![running(web(), 1)]);
    for (life, pause) in [(1, 1), (2, 2), (3, 4), (4, 8)] {
        daemon.actual.kept = vec![running(web(), life)];
        assert_eq!(daemon.acts(), []);
        daemon.actual.kept = vec![ended(running(web(), life), life + 1, End::Panicked, None)];
        let plan = daemon.plan();
        assert_eq!(plan.orders, []);
        assert_eq!(plan.wake, Some(daemon.now + Duration::from_secs(pause)));
        daemon.pass(pause);
        assert_eq!(daemon.acts(), [Act::Start]);
    }
    // After a minute that went well it begins anew.
    daemon.actual.kept = vec![running(web(), 10)];
    assert_eq!(daemon.acts(), []);
    daemon.actual.kept = vec![ended(running(web(), 10), 70, End::Panicked, None)];
    assert_eq!(
        daemon.plan().wake,
        Some(daemon.now + Duration::from_secs(1))
    );
    // And at once when its manifest has changed.
    daemon.want(vec![(
        "a.yaml",
        vm("web", true, Some(RestartPolicy::Always)),
    )]);
    assert_eq!(daemon.acts(), [Act::Start]);
}

#[test]
fn what_failed_is_tried_again_later() {
    let mut daemon = Daemon::new(wants(true), vec![]);
    let key = Key::Name("web".into());
    for pause in [1, 2, 4] {
        assert_eq!(daemon.acts(), [Act::Create]);
        let fault = Some(Fault::new("no registry"));
        let now = daemon.now;
        daemon.memories.get(&key).done(Act::Create, fault, now);
        assert_eq!(daemon.acts(), []);
        daemon.pass(pause);
    }
    assert_eq!(daemon.acts(), [Act::Create]);
}

#[test]
fn changes_are_made_in_place_where_they_can_be() {
    let of = |difference| Daemon::new(wants(true), vec![running(web(), 1)]).differs(difference);
    assert_eq!(
        of(difference(&["metadata.labels"], &[])).acts(),
        [Act::Update]
    );
    let mut stuck = of(difference(&[], &["spec.memory"]));
    let plan = stuck.plan();
    assert_eq!(plan.orders, []);
    let fault = plan.faults.get("a.yaml").expect("a fault");
    assert_eq!(
        fault.message,
        "only a new VM can change spec.memory from 1 to 2"
    );
    let mut both = of(difference(&["metadata.labels"], &["spec.memory"]));
    assert_eq!(both.acts(), [Act::Update]);
    // A fault is in the way of nothing else.
    let mut down = Daemon::new(wants(true), vec![web()]).differs(difference(&[], &["spec.cpus"]));
    assert_eq!(down.acts(), [Act::Start]);
}

#[test]
fn a_vm_is_made_anew_only_if_its_manifest_allows_it() {
    let mut manifest = (*vm("web", true, None)).clone();
    manifest.spec.recreate_on_change = true;
    let wants = vec![("a.yaml", Arc::new(manifest))];
    let mut daemon =
        Daemon::new(wants, vec![running(web(), 1)]).differs(difference(&[], &["spec.cpus"]));
    assert_eq!(daemon.acts(), [Act::Recreate]);
    // Its name is another's by then: it is kept as it is.
    daemon.actual.kept[0].name = "old".into();
    daemon.desired.wanted = Daemon::new(vec![], vec![]).desired.wanted;
    let mut by_uid = (*vm("web", true, None)).clone();
    by_uid.metadata.uid = Some(uid(1));
    by_uid.spec.recreate_on_change = true;
    daemon.want(vec![("a.yaml", Arc::new(by_uid))]);
    daemon.actual.others = vec![other(9, "web")];
    let plan = daemon.plan();
    assert_eq!(plan.orders, []);
    assert!(plan.faults["a.yaml"].message.contains("web"));
}

fn other(number: u64, name: &str) -> Other {
    Other {
        uid: uid(number),
        name: name.into(),
        by: None,
    }
}

#[test]
fn names_and_uids_of_others_are_respected() {
    let mut daemon = Daemon::new(wants(true), vec![]);
    daemon.actual.others = vec![other(9, "web")];
    let plan = daemon.plan();
    assert_eq!(plan.orders, []);
    assert!(plan.faults["a.yaml"].message.contains("made by hand"));
    let mut by_uid = (*vm("web", true, None)).clone();
    by_uid.metadata.uid = Some(uid(9));
    daemon.want(vec![("a.yaml", Arc::new(by_uid))]);
    assert_eq!(daemon.acts(), [Act::Adopt]);
    daemon.actual.others.clear();
    daemon.actual.unreadable = vec![uid(9)];
    assert!(daemon.plan().faults.contains_key("a.yaml"));
}

#[test]
fn a_manifest_must_be_gone_for_a_second() {
    let mut daemon = Daemon::new(vec![], vec![running(web(), 1)]);
    assert_eq!(
        daemon.plan().wake,
        Some(daemon.now + Duration::from_secs(1))
    );
    daemon.want(wants(true));
    assert_eq!(daemon.acts(), []);
    daemon.pass(5);
    daemon.want(vec![]);
    assert_eq!(daemon.acts(), [], "it was there in between");
    daemon.pass(1);
    assert_eq!(daemon.acts(), [Act::Remove]);
}

#[test]
fn nothing_is_removed_in_doubt() {
    let absent = || {
        let mut daemon = Daemon::new(vec![], vec![running(web(), 1)]);
        daemon.plan();
        daemon.pass(10);
        daemon
    };
    assert_eq!(absent().acts(), [Act::Remove]);
    let mut unreadable = absent();
    unreadable.readable = false;
    assert_eq!(unreadable.acts(), []);
    let mut same_file = absent();
    same_file.desired.shields.files.insert("a.yaml".into());
    assert_eq!(same_file.acts(), []);
    let mut same_uid = absent();
    same_uid.desired.shields.uids.insert(uid(1));
    assert_eq!(same_uid.acts(), []);
    let mut same_name = absent();
    same_name.desired.shields.names.insert("web".into());
    assert_eq!(same_name.acts(), []);
    let mut busy = absent();
    busy.busy.uids.insert(uid(1));
    assert_eq!(busy.acts(), []);
}

#[test]
fn a_file_that_moved_is_noted_first() {
    let mut daemon = Daemon::new(vec![("b.yaml", vm("web", true, None))], vec![web()]);
    let plan = daemon.plan();
    let [order] = plan.orders.as_slice() else {
        panic!("one order: {plan:?}");
    };
    assert_eq!(
        (order.act, order.file.as_str(), order.wanted),
        (Act::Note, "b.yaml", false)
    );
}

#[test]
fn what_holds_from_the_next_start_on_brings_it_about() {
    let restart = Difference {
        restart: true,
        ..Difference::default()
    };
    let mut daemon = Daemon::new(wants(true), vec![running(web(), 1)]).differs(restart);
    assert_eq!(daemon.acts(), [Act::Restart]);
    daemon.want(wants(false));
    assert_eq!(daemon.acts(), [Act::Stop]);
}

#[test]
fn a_start_that_is_over_at_once_is_an_end_too() {
    let mut daemon = Daemon::new(wants(true), vec![web()]);
    let key = Key::Name("web".into());
    for (life, pause) in [(1, 1), (2, 2), (3, 4)] {
        assert_eq!(daemon.acts(), [Act::Start]);
        let now = daemon.now;
        daemon.memories.get(&key).done(Act::Start, None, now);
        // Never seen alive.
        daemon.actual.kept = vec![ended(running(web(), life), life, End::Panicked, None)];
        let plan = daemon.plan();
        assert_eq!(plan.orders, []);
        assert_eq!(plan.wake, Some(daemon.now + Duration::from_secs(pause)));
        daemon.pass(pause);
    }
}

#[test]
fn another_name_or_uid_in_its_file_removes_no_vm() {
    let named = |recreate| {
        let mut manifest = (*vm("other", true, None)).clone();
        manifest.spec.recreate_on_change = recreate;
        manifest
    };
    let with_uid = |recreate| {
        let mut manifest = named(recreate);
        manifest.metadata.name = "web".into();
        manifest.metadata.uid = Some(uid(7));
        manifest
    };
    let manifests: [(&str, &dyn Fn(bool) -> Vm); 2] =
        [("metadata.name", &named), ("metadata.uid", &with_uid)];
    for (path, manifest) in manifests {
        let of = |recreate| {
            let wants = vec![("a.yaml", Arc::new(manifest(recreate)))];
            Daemon::new(wants, vec![running(web(), 1)]).differs(difference(&[], &[path]))
        };
        let mut stays = of(false);
        for _ in 0..3 {
            let plan = stays.plan();
            assert_eq!(plan.orders, [], "{path}");
            assert!(plan.faults["a.yaml"].message.contains(path));
            stays.pass(5);
        }
        let plan = of(true).plan();
        let [order] = plan.orders.as_slice() else {
            panic!("one order: {plan:?}");
        };
        assert_eq!((order.act, order.uid), (Act::Recreate, Some(uid(1))));
    }
}

#[test]
fn a_vm_whose_record_cannot_be_read_gets_no_twin() {
    let mut daemon = Daemon::new(wants(true), vec![]);
    daemon.actual.unreadable = vec![uid(1)];
    let plan = daemon.plan();
    assert_eq!(plan.orders, []);
    assert!(plan.faults["a.yaml"].message.contains("cannot be read"));
    daemon.actual.unreadable.clear();
    assert_eq!(daemon.acts(), [Act::Create]);
}

#[test]
fn neither_of_two_vms_of_one_name_is_removed() {
    let twin = kept(2, "web", "b.yaml");
    let mut daemon = Daemon::new(wants(true), vec![running(web(), 1), twin]);
    for _ in 0..3 {
        let plan = daemon.plan();
        let acts: Vec<Act> = plan.orders.iter().map(|order| order.act).collect();
        assert!(!acts.contains(&Act::Remove), "{acts:?}");
        assert!(plan.faults["b.yaml"].message.contains("left alone"));
        daemon.pass(5);
    }
    daemon.want(vec![]);
    daemon.plan();
    daemon.pass(5);
    assert_eq!(daemon.acts(), [Act::Remove, Act::Remove]);
}

#[test]
fn a_name_that_is_about_to_be_free_is_waited_for() {
    let mut by_uid = (*vm("web", true, None)).clone();
    by_uid.metadata.uid = Some(uid(2));
    let wants = vec![("b.yaml", Arc::new(by_uid))];
    let mut daemon = Daemon::new(wants, vec![running(web(), 1)]);
    let plan = daemon.plan();
    assert_eq!((plan.orders, plan.faults.len()), (vec![], 0));
    daemon.pass(1);
    assert_eq!(daemon.acts(), [Act::Remove]);
    daemon.actual.kept.clear();
    assert_eq!(daemon.acts(), [Act::Create]);
}

#[test]
fn a_vm_whose_manifest_is_broken_goes_on_as_it_was() {
    let down = ended(running(web(), 1), 2, End::Lost, None);
    let mut daemon = Daemon::new(vec![], vec![down]);
    daemon.desired.shields.files.insert("a.yaml".into());
    assert_eq!(daemon.acts(), [], "nothing is known of its policy");
    daemon.policies.insert(uid(1), RestartPolicy::Always);
    assert_eq!(daemon.acts(), [Act::Start]);
    daemon.policies.insert(uid(1), RestartPolicy::Never);
    assert_eq!(daemon.acts(), []);
    daemon.policies.insert(uid(1), RestartPolicy::Always);
    daemon.actual.kept[0].managed.wanted = false;
    assert_eq!(daemon.acts(), []);
}
