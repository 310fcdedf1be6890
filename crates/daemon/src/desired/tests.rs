//! Texts become wanted VMs and faults.

use ignite_api::VmSpec;

use super::{Book, Desired, Keeping, Key, Reading, read, resolve};
use crate::source::{File, Snapshot};

fn manifest(metadata: &str) -> String {
    format!(
        "apiVersion: ignite.weave.works/v1alpha4\nkind: VM\nmetadata: {{{metadata}}}\n\
         spec: {{image: {{oci: box}}}}\nstatus: {{running: true}}\n"
    )
}

fn snapshot(files: &[(&str, &str)]) -> Snapshot {
    let files = files.iter().map(|(path, text)| {
        let file = if *text == "unchanged" {
            File::Unchanged
        } else {
            File::Text((*text).to_owned())
        };
        ((*path).to_owned(), file)
    });
    Snapshot {
        files: files.collect(),
        ..Snapshot::default()
    }
}

fn desired(files: &[(&str, &str)], kept: &[(u64, &str, &str)]) -> Desired {
    let mut book = Book::default();
    book.take(snapshot(files), &VmSpec::default());
    let kept: Vec<Keeping> = kept
        .iter()
        .map(|(number, name, file)| Keeping {
            uid: format!("{number:016}").parse().expect("16 digits"),
            name: (*name).into(),
            file: (*file).into(),
        })
        .collect();
    resolve(&book, &kept)
}

/// Which file has which VM.
fn owners(desired: &Desired) -> Vec<(String, &str)> {
    let wanted = desired.wanted.values();
    wanted
        .map(|wanted| (wanted.key.to_string(), wanted.file.as_str()))
        .collect()
}

#[test]
fn a_manifest_is_a_vm_with_an_identity() {
    let Reading::Vm(vm) = read(&manifest("name: web"), &VmSpec::default()) else {
        panic!("a VM");
    };
    assert!(vm.status.running);
    let faulty = |text: &str| match read(text, &VmSpec::default()) {
        Reading::Fault { fault, .. } => fault.message,
        other => panic!("{other:?}"),
    };
    insta::assert_snapshot!(faulty(&manifest("labels: {a: b}")), @"metadata: it has neither a uid nor a name, by which its VM would be known");
    assert!(faulty("").contains("empty"));
    assert!(faulty("kind: [").contains("line 1"));
    let twice = manifest("name: web").replace("kind: VM", "kind: VM\nkind: VM");
    assert!(faulty(&twice).contains("line 3"), "{}", faulty(&twice));
    let cpus = manifest("name: web").replace("{image", "{cpus: 99, memory: 1MB, image");
    let faults = faulty(&cpus);
    assert!(
        faults.contains("spec.cpus") && faults.contains("spec.memory"),
        "{faults}"
    );
}

#[test]
fn bombs_and_floods_are_faults() {
    let mut bomb = String::from("a: &a [x,x,x,x,x,x,x,x,x,x]\n");
    for (name, of) in ["b", "c", "d", "e", "f", "g", "h", "i", "j"]
        .iter()
        .zip("abcdefghi".chars())
    {
        bomb.push_str(&format!(
            "{name}: &{name} [*{of},*{of},*{of},*{of},*{of},*{of},*{of},*{of},*{of}]\n"
        ));
    }
    let deep = "[".repeat(100_000);
    let long = "x".repeat(2 << 20);
    for text in [bomb, deep, long] {
        assert!(matches!(
            read(&text, &VmSpec::default()),
            Reading::Fault { .. }
        ));
    }
}

#[test]
fn other_kinds_are_left_out() {
    let image = manifest("name: web")
        .replace("kind: VM", "kind: Image")
        .replace(
            "spec: {image: {oci: box}}\nstatus: {running: true}",
            "spec: {oci: box}",
        );
    let desired = desired(&[("a.yaml", &image)], &[]);
    assert_eq!(desired.ignored["a.yaml"], "Image");
    assert!(desired.faults.is_empty() && desired.wanted.is_empty());
}

#[test]
fn a_broken_manifest_still_mentions_its_vm() {
    let text = manifest("name: \"web\", uid: 0123456789abcdef").replace("spec", "spec: [");
    let desired = desired(&[("a.yaml", &text)], &[]);
    let shields = &desired.shields;
    assert!(
        shields.files.contains("a.yaml") && shields.names.contains("web"),
        "{shields:?}"
    );
    assert_eq!(shields.uids.len(), 1, "{shields:?}");
    let json = "{\"metadata\": {\"name\": \"api\", \"uid\": \"0123456789abcdef\"}, ";
    let Reading::Fault { mentions, .. } = read(json, &VmSpec::default()) else {
        panic!("it is broken");
    };
    assert_eq!(
        (mentions.names, mentions.uids.len()),
        (vec!["api".to_owned()], 1)
    );
}

#[test]
fn what_is_below_a_directory_that_is_a_fault_is_left_alone() {
    let mut book = Book::default();
    let fault = File::Fault("it is a directory that cannot be read".into());
    let snapshot = Snapshot {
        files: [("vms/a".to_owned(), fault)].into(),
        ..Snapshot::default()
    };
    book.take(snapshot, &VmSpec::default());
    let shields = resolve(&book, &[]).shields;
    for file in ["vms/a", "vms/a/b.yaml", "vms/a/b/c.yaml"] {
        assert!(shields.covers(file), "{file}");
    }
    for file in ["vms/ab.yaml", "vms/b.yaml", "a/b.yaml"] {
        assert!(!shields.covers(file), "{file}");
    }
}

#[test]
fn of_two_files_the_one_that_has_the_vm_keeps_it() {
    let (web, uid) = (
        manifest("name: web"),
        manifest("name: other, uid: 0000000000000001"),
    );
    let twice = [("a.yaml", web.as_str()), ("b.yaml", web.as_str())];
    let first = desired(&twice, &[]);
    assert_eq!(owners(&first), [("web".to_owned(), "a.yaml")]);
    insta::assert_snapshot!(first.faults["b.yaml"], @"metadata.name: web is that of the VM in a.yaml already");
    assert!(first.shields.names.contains("web"));
    let held = desired(&twice, &[(1, "web", "b.yaml")]);
    assert_eq!(owners(&held), [("web".to_owned(), "b.yaml")]);
    assert!(held.faults.contains_key("a.yaml"));
    let uids = desired(
        &[("a.yaml", &uid), ("b.yaml", &uid)],
        &[(1, "other", "b.yaml")],
    );
    assert_eq!(owners(&uids), [("0000000000000001".to_owned(), "b.yaml")]);
    // A name that a file has by a change loses against one that was there.
    let kept = [(1, "other", "a.yaml"), (2, "web", "b.yaml")];
    let renamed = manifest("name: web, uid: 0000000000000001");
    let changed = desired(&[("a.yaml", &renamed), ("b.yaml", &web)], &kept);
    assert_eq!(owners(&changed), [("web".to_owned(), "b.yaml")]);
}

#[test]
fn only_what_changed_is_read_again() {
    let mut book = Book::default();
    let web = manifest("name: web");
    assert!(book.take(snapshot(&[("a.yaml", &web)]), &VmSpec::default()));
    assert!(!book.take(snapshot(&[("a.yaml", "unchanged")]), &VmSpec::default()));
    assert!(!book.take(
        snapshot(&[("a.yaml", &format!("# comment\n{web}"))]),
        &VmSpec::default()
    ));
    assert!(book.take(
        snapshot(&[("a.yaml", &manifest("name: api"))]),
        &VmSpec::default()
    ));
    assert!(book.take(snapshot(&[]), &VmSpec::default()));
    let key = Key::Name("web".into());
    assert!(!desired(&[], &[]).wanted.contains_key(&key));
}

proptest::proptest! {
    /// Whatever the texts are, each file is wanted, ignored or a fault, and no two have one VM.
    #[test]
    fn every_file_has_exactly_one_meaning(texts in proptest::collection::vec("(name|uid|kind: VM|apiVersion: ignite.weave.works/v1alpha4|[ :{},\n\\[\\]-]|[a-z0-9]{1,16}){0,12}", 0..6)) {
        let files: Vec<(String, String)> = texts.into_iter().enumerate().map(|(index, text)| (format!("{index}.yaml"), text)).collect();
        let borrowed: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let desired = desired(&borrowed, &[]);
        let meanings = desired.wanted.len() + desired.ignored.len() + desired.faults.len();
        proptest::prop_assert_eq!(meanings, files.len());
    }
}
