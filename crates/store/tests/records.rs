//! Records as they were written before there was a choice of VMMs: they are read, what they do not
//! say has the meaning it had then, and nothing they say is lost when they are written again.

use std::fs;
use std::path::{Path, PathBuf};

use ignite_api::{DiskFormat, DiskOrigin, NetworkPlugin, Uid};
use ignite_store::{AttachmentState, Images, Kernels, Liveness, Paths, State, Vms, write_status};
use ignite_wire::supervisor::{End, Vmm};
use serde_json::Value;
use tempfile::TempDir;

const VM: &str = "0a1b2c3d4e5f6071";
const IMAGE: &str = "1111111111111111";
const KERNEL: &str = "2222222222222222";

/// A host with these records.
struct Host {
    paths: Paths,
    _root: TempDir,
}

fn host() -> Host {
    let root = tempfile::tempdir().expect("tempdir");
    let paths = Paths::under(root.path());
    for name in ["vm.json", "network.json", "status.json"] {
        place(&paths.vm(uid(VM)), name);
    }
    place(&paths.image(uid(IMAGE)), "image.json");
    place(&paths.kernel(uid(KERNEL)), "kernel.json");
    Host { paths, _root: root }
}

fn place(directory: &Path, name: &str) {
    fs::create_dir_all(directory).expect("made");
    fs::copy(fixture(name), directory.join(name)).expect("copied");
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/records")
        .join(name)
}

fn uid(text: &str) -> Uid {
    text.parse().expect("a uid")
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("read")).expect("a record")
}

/// What of `old` is not in `new`, with its path.
fn lost(path: &str, old: &Value, new: &Value) -> Vec<String> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => old
            .iter()
            .flat_map(|(name, old)| {
                let new = new.get(name).unwrap_or(&Value::Null);
                lost(&format!("{path}.{name}"), old, new)
            })
            .collect(),
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            let pairs = old.iter().zip(new).enumerate();
            pairs
                .flat_map(|(index, (old, new))| lost(&format!("{path}[{index}]"), old, new))
                .collect()
        }
        _ if old == new => Vec::new(),
        _ => vec![format!("{path}: {old} became {new}")],
    }
}

/// The record in `directory` says all that its fixture does.
fn assert_kept(directory: &Path, name: &str) {
    let lost = lost(name, &json(&fixture(name)), &json(&directory.join(name)));
    assert_eq!(lost, [""; 0]);
}

#[test]
fn what_an_older_vm_does_not_say_is_as_it_was() {
    let Host { paths, _root } = host();
    let vms = Vms::new(&paths);
    let record = vms.get(uid(VM)).expect("read");
    assert_eq!(record.disk, DiskOrigin::Overlay);
    assert_eq!(record.disk.format(), DiskFormat::Qcow2);
    assert_eq!((record.vmm_version, record.user), (None, None));
    let spec = &record.spec;
    assert_eq!((spec.vmm, spec.jailer, spec.disk_rate), (None, false, None));
    assert_eq!(spec.network.rate, None);
    let interfaces = &spec.network.interfaces;
    assert_eq!(interfaces.len(), 2);
    assert!(interfaces.iter().all(|interface| interface.rate.is_none()));

    let network = vms.network(uid(VM)).expect("read");
    assert_eq!(network.plugin, NetworkPlugin::DockerBridge);
    assert_eq!(network.attachments[0].state, AttachmentState::Attached);
    assert_eq!(network.remembered("eth0", "lan").len(), 1);

    let status = vms.status(uid(VM)).expect("read");
    assert_eq!(status.state, State::Running);
    assert_eq!(status.vmm.expect("it ran").kind, Vmm::QemuTcg);
    assert_eq!(status.end, Some(End::NetworkLost));
    assert!(status.other.is_empty(), "{:?}", status.other);
}

#[test]
fn what_an_older_vm_says_is_written_again() {
    let Host { paths, _root } = host();
    let vms = Vms::new(&paths);
    let lock = vms.lock(uid(VM)).expect("nobody else is here");
    lock.write_record(&lock.record().expect("read"))
        .expect("written");
    lock.write_network(&lock.network().expect("read"))
        .expect("written");
    write_status(&lock.dir(), &lock.status().expect("read")).expect("written");
    for name in ["vm.json", "network.json", "status.json"] {
        assert_kept(&lock.dir(), name);
    }
}

#[test]
fn older_images_and_kernels_are_read_and_written_again() {
    let Host { paths, _root } = host();
    let (images, kernels) = (Images::new(&paths), Kernels::new(&paths));
    let image = images.get(uid(IMAGE)).expect("read");
    assert_eq!(image.name(), "nginx:1.27");
    images.write(&image).expect("written");
    assert_kept(&paths.image(uid(IMAGE)), "image.json");
    let kernel = kernels.get(uid(KERNEL)).expect("read");
    assert_eq!(kernel.version, "6.1.0-41-cloud-amd64");
    kernels.write(&kernel).expect("written");
    assert_kept(&paths.kernel(uid(KERNEL)), "kernel.json");
}

#[test]
fn an_older_vm_is_listed_and_found() {
    let Host { paths, _root } = host();
    let vms = Vms::new(&paths);
    let summary = vms.summary().expect("read");
    assert!(summary.damaged.is_empty(), "{:?}", summary.faults);
    let vm = &summary.vms[0];
    assert_eq!((vm.name.as_str(), vm.cpus), ("web", 2));
    assert_eq!(vms.resolve("we").expect("found"), uid(VM));
    // Its supervisor is of another boot.
    assert!(!Liveness::is_held(&paths, uid(VM)).expect("looked at"));
}

#[test]
fn what_a_later_version_says_of_a_run_is_kept() {
    let Host { paths, _root } = host();
    let vms = Vms::new(&paths);
    let file = paths.vm(uid(VM)).join("status.json");
    let mut later = json(&file);
    later["weather"] = serde_json::json!({ "wind": [1, 2] });
    fs::write(&file, later.to_string()).expect("written");
    let mut status = vms.status(uid(VM)).expect("read");
    status.state = State::Stopped;
    write_status(&paths.vm(uid(VM)), &status).expect("written");
    assert_eq!(json(&file)["weather"], later["weather"]);
}
