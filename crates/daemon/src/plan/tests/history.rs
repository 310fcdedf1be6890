//! Whatever files and VMs go through, in the end the VMs are as the files say, and none was removed
//! whose file was there all the time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ignite_api::{RestartPolicy, Uid};
use ignite_engine::keep::{Difference, Kept};
use ignite_engine::{End, State};
use jiff::Timestamp;
use proptest::prelude::*;

use super::super::{Act, Actual, Busy, Differences, Input, Memories, Order, pair, plan};
use super::{difference, kept, uid};
use crate::desired::{Book, Fault, Keeping, Wanted, resolve};
use crate::source::{File, Snapshot};

/// Longest time in which everything must have come about: the longest pause, and as many steps as a VM
/// may need.
const PATIENCE: u64 = 3000;

/// What happens to the world.
#[derive(Debug, Clone)]
enum Happening {
    /// A file says this of a VM.
    Write {
        file: u8,
        name: u8,
        running: bool,
        cpus: u8,
        label: u8,
        recreate: bool,
    },
    /// A file makes no sense.
    Break { file: u8 },
    /// A file is gone.
    Delete { file: u8 },
    /// A file has another name.
    Rename { from: u8, to: u8 },
    /// A VM ends.
    End { vm: u8, panicked: bool },
    /// A VM is removed by hand.
    Remove { vm: u8 },
    /// A VM's record cannot be read.
    Damage { vm: u8 },
    /// All records can be read again.
    Mend,
    /// The source cannot be read, or can again.
    Source { readable: bool },
    /// The daemon is killed and started.
    Restart,
    /// Time passes.
    Pass { seconds: u8 },
    /// What is tried next fails.
    Fail { times: u8 },
}

fn happening() -> impl Strategy<Value = Happening> {
    let (file, name) = (0..5u8, 0..4u8);
    prop_oneof![
        6 => (file.clone(), name.clone(), any::<bool>(), 1..3u8, 1..3u8, any::<bool>()).prop_map(
            |(file, name, running, cpus, label, recreate)|
                Happening::Write { file, name, running, cpus, label, recreate }),
        1 => file.clone().prop_map(|file| Happening::Break { file }),
        2 => file.clone().prop_map(|file| Happening::Delete { file }),
        2 => (file.clone(), file.clone()).prop_map(|(from, to)| Happening::Rename { from, to }),
        2 => (name.clone(), any::<bool>()).prop_map(|(vm, panicked)| Happening::End { vm, panicked }),
        1 => name.clone().prop_map(|vm| Happening::Remove { vm }),
        1 => name.prop_map(|vm| Happening::Damage { vm }),
        1 => Just(Happening::Mend),
        1 => any::<bool>().prop_map(|readable| Happening::Source { readable }),
        1 => Just(Happening::Restart),
        3 => (0..4u8).prop_map(|seconds| Happening::Pass { seconds }),
        1 => (1..4u8).prop_map(|times| Happening::Fail { times }),
    ]
}

fn path(file: u8) -> String {
    format!("{file}.yaml")
}

/// A VM.
struct Machine {
    kept: Kept,
    cpus: u64,
    label: Option<String>,
}

impl Machine {
    /// In what it is not as `wanted` says.
    fn difference(&self, wanted: &Wanted) -> Difference {
        let vm = &wanted.vm;
        let is_relabelled = vm.metadata.labels.get("app") != self.label.as_ref();
        let in_place: &[&str] = if is_relabelled { &["labels"] } else { &[] };
        let is_renamed = wanted.name() != Some(&self.kept.name);
        let fields = [
            ("metadata.name", is_renamed),
            ("spec.cpus", vm.spec.cpus != self.cpus),
        ];
        let recreate: Vec<&str> = fields
            .into_iter()
            .filter_map(|(path, differs)| differs.then_some(path))
            .collect();
        difference(in_place, &recreate)
    }
}

/// Files, VMs, and a daemon between them.
struct World {
    files: BTreeMap<String, Option<String>>,
    vms: BTreeMap<Uid, Machine>,
    damaged: BTreeSet<Uid>,
    readable: bool,
    book: Book,
    memories: Memories,
    begin: Instant,
    seconds: u64,
    next: u64,
    failures: u8,
}

impl World {
    fn new() -> Self {
        Self {
            files: BTreeMap::new(),
            vms: BTreeMap::new(),
            damaged: BTreeSet::new(),
            readable: true,
            book: Book::default(),
            memories: Memories::default(),
            begin: Instant::now(),
            seconds: 0,
            next: 1,
            failures: 0,
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Write {
                file,
                name,
                running,
                cpus,
                label,
                recreate,
            } => {
                let text = format!(
                    "{{apiVersion: ignite.weave.works/v1alpha4, kind: VM, metadata: {{labels: {{app: l{label}}}, name: vm{name}}}, \
                     spec: {{image: {{oci: box}}, cpus: {cpus}, recreateOnChange: {recreate}}}, \
                     status: {{running: {running}}}}}"
                );
                self.files.insert(path(file), Some(text));
            }
            Happening::Break { file } => {
                self.files.insert(path(file), None);
            }
            Happening::Delete { file } => {
                self.files.remove(&path(file));
            }
            Happening::Rename { from, to } => {
                if let Some(text) = self.files.remove(&path(from)) {
                    self.files.insert(path(to), text);
                }
            }
            Happening::End { vm, panicked } => {
                let second = self.seconds;
                if let Some(kept) = self.named(vm).filter(|kept| kept.state.is_live()) {
                    kept.state = State::Stopped;
                    kept.end = Some(if panicked {
                        End::Panicked
                    } else {
                        End::PoweredOff
                    });
                    kept.ended = moment(second);
                }
            }
            Happening::Remove { vm } => {
                let found = self.named(vm).map(|kept| kept.uid);
                found.map(|uid| self.vms.remove(&uid));
            }
            Happening::Damage { vm } => {
                let found = self.named(vm).map(|kept| kept.uid);
                self.damaged.extend(found);
            }
            Happening::Mend => self.damaged.clear(),
            Happening::Source { readable } => self.readable = readable,
            Happening::Restart => {
                self.memories = Memories::default();
                self.book = Book::default();
            }
            Happening::Pass { seconds } => self.seconds += u64::from(seconds),
            Happening::Fail { times } => self.failures = times,
        }
    }

    fn named(&mut self, vm: u8) -> Option<&mut Kept> {
        let name = format!("vm{vm}");
        let mut vms = self.vms.values_mut().map(|vm| &mut vm.kept);
        vms.find(|kept| kept.name == name)
    }

    fn now(&self) -> Instant {
        self.begin + Duration::from_secs(self.seconds)
    }

    /// One turn of the daemon; how many orders it gave, and when it wants to turn again.
    fn turn(&mut self) -> (usize, Option<Instant>) {
        let files = self.files.iter().map(|(path, text)| {
            let text = text.clone().unwrap_or_else(|| "{".into());
            (path.clone(), File::Text(text))
        });
        self.book.take(
            Snapshot {
                files: files.collect(),
                ..Snapshot::default()
            },
            &ignite_api::VmSpec::default(),
        );
        let actual = Actual {
            kept: self
                .vms
                .values()
                .map(|vm| vm.kept.clone())
                .filter(|kept| !self.damaged.contains(&kept.uid))
                .collect(),
            unreadable: self.damaged.iter().copied().collect(),
            ..Actual::default()
        };
        let keeping: Vec<Keeping> = actual
            .kept
            .iter()
            .map(|kept| Keeping {
                uid: kept.uid,
                name: kept.name.clone(),
                file: kept.managed.file.clone(),
            })
            .collect();
        let desired = resolve(&self.book, &keeping);
        let mut differences = Differences::new();
        for (wanted, kept) in &pair(&desired, &actual.kept).wanted {
            let Some(kept) = kept else { continue };
            let difference = self.vms[&kept.uid].difference(wanted);
            differences.insert(kept.uid, Ok(difference));
        }
        let now = self.now();
        let policies = self.vms.keys().map(|uid| (*uid, RestartPolicy::Always));
        let policies = policies.collect();
        let input = Input {
            desired: &desired,
            actual: &actual,
            differences: &differences,
            busy: &Busy::default(),
            readable: self.readable,
            policies: &policies,
        };
        let plan = plan(&input, &mut self.memories, now);
        for order in &plan.orders {
            self.perform(order, now);
        }
        (plan.orders.len(), plan.wake)
    }

    fn perform(&mut self, order: &Order, now: Instant) {
        let fault = (self.failures > 0).then(|| Fault::new("it failed"));
        if fault.is_some() {
            self.failures -= 1;
        } else {
            self.act(order);
        }
        self.memories.get(&order.key).done(order.act, fault, now);
    }

    fn act(&mut self, order: &Order) {
        let second = self.seconds;
        match order.act {
            Act::Create => self.create(order),
            Act::Recreate => {
                self.vms.remove(&order.uid.expect("it is there"));
                self.create(order);
            }
            Act::Remove => {
                let uid = order.uid.expect("it is there");
                assert!(self.readable, "the source cannot be read");
                let gone = self.vms.remove(&uid).expect("it is there").kept;
                let file = self.files.get(&gone.managed.file);
                let broken = matches!(file, Some(None));
                assert!(!broken, "{} cannot be read", gone.managed.file);
                if let Some(Some(text)) = file {
                    // Its file is another one's by now.
                    let mut others = self.vms.values().map(|vm| &vm.kept.name);
                    assert!(others.any(|name| says(text, name)), "{} went", gone.name);
                }
                let mut texts = self.files.values().flatten();
                assert!(!texts.any(|text| says(text, &gone.name)), "{}", gone.name);
            }
            act => {
                let uid = order.uid.expect("it is there");
                let machine = self.vms.get_mut(&uid).expect("it is there");
                let kept = &mut machine.kept;
                kept.managed.file.clone_from(&order.file);
                match act {
                    Act::Start | Act::Restart => {
                        kept.state = State::Running;
                        kept.started = moment(second);
                        kept.managed.wanted = true;
                    }
                    Act::Stop => {
                        kept.state = State::Stopped;
                        kept.end = Some(End::PoweredOff);
                        kept.ended = moment(second);
                        kept.managed.wanted = false;
                    }
                    Act::Update => {
                        let vm = order.vm.as_ref().expect("a manifest");
                        machine.label = vm.metadata.labels.get("app").cloned();
                    }
                    _ => kept.managed.wanted = order.wanted,
                }
            }
        }
    }

    fn create(&mut self, order: &Order) {
        let vm = order.vm.as_ref().expect("a manifest");
        let name = &vm.metadata.name;
        assert!(
            self.vms.values().all(|vm| vm.kept.name != *name),
            "{name} is there twice"
        );
        let made = Machine {
            kept: kept(self.next, name, &order.file),
            cpus: vm.spec.cpus,
            label: vm.metadata.labels.get("app").cloned(),
        };
        self.vms.insert(uid(self.next), made);
        self.next += 1;
    }

    /// Turns until nothing is left to do, with everything readable again.
    fn settle(&mut self) {
        self.readable = true;
        self.damaged.clear();
        let end = self.seconds + PATIENCE;
        loop {
            let (orders, wake) = self.turn();
            match wake {
                _ if orders > 0 => {}
                Some(wake) if wake > self.now() => {
                    self.seconds += (wake - self.now()).as_secs_f64().ceil() as u64;
                }
                Some(_) => panic!("it wants to be woken in the past"),
                None => return,
            }
            assert!(self.seconds < end, "it does not come to rest");
        }
    }

    /// Compares the VMs with what the files say, as a person would.
    fn check(&self) {
        let whole: BTreeSet<&String> = self
            .files
            .iter()
            .filter(|(_, text)| text.is_some())
            .map(|(file, _)| file)
            .collect();
        let mut served = BTreeSet::new();
        let mut renamed = BTreeSet::new();
        for Machine { kept, cpus, label } in self.vms.values() {
            let file = &kept.managed.file;
            assert!(
                self.files.contains_key(file),
                "{} has no file any more",
                kept.name
            );
            let Some(Some(text)) = self.files.get(file) else {
                continue;
            };
            if !says(text, &kept.name) {
                // Its file speaks of a VM that another file has, or has given it another name.
                renamed.extend(text.contains("recreateOnChange: false").then_some(text));
                continue;
            }
            let label = label.as_deref().unwrap_or_default();
            assert!(
                text.contains(&format!("app: {label}}}")),
                "{label} after {text}"
            );
            assert!(served.insert(file.clone()), "{file} has two VMs");
            let runs = text.contains("running: true");
            assert_eq!(kept.state.is_live(), runs, "{} after {text}", kept.name);
            if text.contains("recreateOnChange: true") {
                assert!(
                    text.contains(&format!("cpus: {cpus},")),
                    "{} after {text}",
                    kept.name
                );
            }
        }
        let names = |texts: Vec<&String>| -> BTreeSet<String> {
            let name = |text: &&String| {
                text.split("name: ")
                    .nth(1)?
                    .split('}')
                    .next()
                    .map(str::to_owned)
            };
            texts.iter().filter_map(name).collect()
        };
        let wanted = names(
            whole
                .iter()
                .filter_map(|file| self.files[*file].as_ref())
                .collect(),
        );
        let there: BTreeSet<String> = self
            .vms
            .values()
            .map(|vm| vm.kept.name.clone())
            .chain(names(renamed.into_iter().collect()))
            .collect();
        assert!(
            wanted.is_subset(&there),
            "wanted {wanted:?}, there {there:?}"
        );
    }
}

/// Whether a manifest is that of the VM of this name.
fn says(text: &str, name: &str) -> bool {
    text.contains(&format!("name: {name}}}"))
}

fn moment(second: u64) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(second).ok()?).ok()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_history_ends_as_the_files_say(happenings in prop::collection::vec((happening(), 0..3u8), 1..40)) {
        let mut world = World::new();
        for (happening, turns) in happenings {
            world.happen(happening);
            for _ in 0..turns {
                world.turn();
            }
        }
        world.settle();
        world.check();
    }
}

/// The check is able to fail.
#[test]
#[should_panic(expected = "wanted")]
fn a_vm_that_is_missing_is_noticed() {
    let mut world = World::new();
    world.files.insert(path(1), Some("name: vm1}".into()));
    world.check();
}
