use std::path::PathBuf;

use super::*;
use crate::{Manifest, decode, decode_value};

mod check;

use check::faults;

const HEAD: &str = "apiVersion: ignite.weave.works/v1alpha4\nkind: VM\n";

/// Whether the text is an object as `decode` has it; its schema must say the same.
fn both(text: &str) -> bool {
    let value = decode_value(text).expect(text);
    let decoded = decode(text);
    let kind = match &decoded {
        Ok(Manifest::Vm(_)) => Some(Kind::Vm),
        Ok(Manifest::Image(_)) => Some(Kind::Image),
        Ok(Manifest::Kernel(_)) => Some(Kind::Kernel),
        Ok(Manifest::Configuration(_)) => Some(Kind::Configuration),
        Err(_) => None,
    };
    let of_all = faults(&schema(None), &value);
    assert_eq!(
        decoded.is_ok(),
        of_all.is_empty(),
        "{text}\n{decoded:?}\n{of_all:#?}"
    );
    for other in kind.into_iter().flat_map(|_| ALL) {
        let of_kind = faults(&schema(Some(other)), &value);
        assert_eq!(
            Some(other) == kind,
            of_kind.is_empty(),
            "{other}: {text}\n{of_kind:#?}"
        );
    }
    decoded.is_ok()
}

fn files(directory: &str) -> Vec<PathBuf> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(directory);
    let files = std::fs::read_dir(&directory).expect("a directory of the repository");
    files.flatten().map(|file| file.path()).collect()
}

/// The YAML of a page: its blocks, and files that are shown there. A block that begins with a VM's
/// `spec` gets a head.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once("```") {
        let Some((block, after)) = after.split_once("```") else {
            break;
        };
        rest = after;
        let block = block.split_once('\n').map_or("", |(_, block)| block);
        if block.starts_with("spec:") {
            blocks.push(format!("{HEAD}{block}"));
        } else if block.starts_with("apiVersion: ignite") {
            blocks.push(block.to_owned());
        } else if let Some(at) = block.find("\napiVersion: ignite") {
            let lines = block[at + 1..].lines();
            let lines = lines.take_while(|line| !line.starts_with('$') && *line != "END");
            blocks.push(lines.map(|line| format!("{line}\n")).collect());
        }
    }
    blocks
}

#[test]
fn what_pages_show_is_taken() {
    let pages = files("../../docs").into_iter().map(|path| {
        let text = std::fs::read_to_string(&path).expect("a page");
        (path, text)
    });
    let blocks: Vec<(PathBuf, String)> = pages
        .flat_map(|(path, text)| blocks(&text).into_iter().map(move |it| (path.clone(), it)))
        .collect();
    assert!(blocks.len() >= 5, "{blocks:#?}");
    for (path, block) in blocks {
        assert!(both(&block), "{}:\n{block}", path.display());
    }
}

#[test]
fn seeds_of_the_fuzzer_are_judged_alike() {
    let seeds = files("../../fuzz/corpus/api_manifest");
    let taken = seeds.iter().filter(|path| {
        let text = std::fs::read_to_string(path).expect("text");
        both(&text)
    });
    assert!(taken.count() >= 4, "{seeds:?}");
}

#[test]
fn what_is_read_has_a_place_in_the_schema() {
    for spec in [
        "{}",
        "{ image: { oci: 'localhost:5000/a/b_c:1@sha256:0000000000000000000000000000000000000000000000000000000000000000' } }",
        "{ memory: 1073741824, diskSize: 3 gigabytes, balloon: 0, diskRate: '50MB/s:100MB' }",
        "{ memory: 2GiB, network: { rate: 10Mbit, interfaces: [ { rate: none }, { rate: '1Gbit:256KB' } ] } }",
        "{ network: { interfaces: [ { network: lan, name: eth1, mac: '02:00:00:00:72:11', addresses: [ 10.0.0.5/24, 'fd00::5' ], allow: [ 10.0.9.0/24 ] } ] } }",
        "{ network: { ports: [ { hostPort: 53, vmPort: 53, protocol: UDP, bindAddress: '::1' } ] } }",
        "{ storage: { volumes: [ { name: a, directory: { path: /a }, readOnly: true } ], volumeMounts: [ { name: a, mountPath: /a } ] } }",
        "{ command: [ sleep, 5, 1.5, true ], env: [ A=1, 'B=' ], dns: [ 9.9.9.9 ] }",
        "{ hostname: a_b.Example, extraHosts: [ 'db:10.0.0.7', 'db=::1', 'x.y:[::1]', 'gate:host-gateway' ] }",
        "{ ssh: true }",
        "{ ssh: /k.pub }",
        "{ ssh: {} }",
        "{ ssh: null, restartPolicy: null, balloon: null }",
        "{ vmm: qemu-tcg, jailer: false, restartPolicy: on-failure, recreateOnChange: true }",
        "{ sandbox: { oci: weaveworks/ignite:dev }, kernel: { oci: k, cmdLine: quiet }, copyFiles: [ { hostPath: /a, vmPath: /b } ] }",
    ] {
        assert!(both(&format!("{HEAD}spec: {spec}\n")), "{spec}");
    }
    let configuration = "apiVersion: ignite.weave.works/v1alpha3\nkind: Configuration\nspec: { runtime: docker, networkPlugin: cni, \
        detachKeys: 'ctrl-a,d', vmmUsers: { first: 100000, count: 10 }, vmDefaults: { cpus: 2 } }\nstatus: {}\n";
    assert!(both(configuration));
    let labels = "metadata: { name: a, uid: 0123456789abcdef, created: 2026-01-02T03:04:05Z, labels: { a: 1, b: true } }\nspec: {}\n";
    assert!(both(&format!("{HEAD}{labels}")));
}

#[test]
fn what_is_refused_is_refused_by_the_schema() {
    for rest in [
        "",
        "spec: 1\n",
        "spec: { cpu: 2 }\n",
        "spec: { cpus: many }\n",
        "spec: { cpus: -1 }\n",
        "spec: { cpus: 1.5 }\n",
        "spec: { memory: 1.5GB }\n",
        "spec: { memory: 512Mb }\n",
        "spec: { vmm: xen }\n",
        "spec: { ssh: { a: 1 } }\n",
        "spec: { ssh: [] }\n",
        "spec: { image: { oci: UPPER } }\n",
        "spec: { image: debian }\n",
        "spec: { env: [ A ] }\n",
        "spec: { command: top }\n",
        "spec: { network: { rate: 10MB } }\n",
        "spec: { network: { interfaces: [ { mac: '01:00:00:00:00:01' } ] } }\n",
        "spec: { network: { ports: [ { hostPort: 65536, vmPort: 1 } ] } }\n",
        "spec: { network: { ports: [ { vmPort: 1 } ] } }\n",
        "spec: { network: { ports: [ { hostPort: 1, vmPort: 1, protocol: sctp } ] } }\n",
        "spec: { storage: { volumes: [ { name: a, path: /a } ] } }\n",
        "spec: {}\nstatus: { ipAddresses: [ 10.0.0.1 ] }\n",
        "spec: {}\nmetadata: { owner: me }\n",
        "spec: {}\nmetadata: { uid: SHORT }\n",
        "spec: {}\nextra: 1\n",
    ] {
        assert!(!both(&format!("{HEAD}{rest}")), "{rest}");
    }
    for text in [
        "kind: VM\nspec: {}\n",
        "apiVersion: v1\nkind: VM\nspec: {}\n",
        "apiVersion: ignite.weave.works/v1alpha4\nspec: {}\n",
        "apiVersion: ignite.weave.works/v1alpha4\nkind: Pod\nspec: {}\n",
        "apiVersion: ignite.weave.works/v1alpha4\nkind: Image\nspec: { cpus: 1 }\n",
        "apiVersion: ignite.weave.works/v1alpha4\nkind: Configuration\nspec: { networkplugin: cni }\n",
        "apiVersion: ignite.weave.works/v1alpha4\nkind: Configuration\nspec: {}\nstatus: { running: true }\n",
    ] {
        assert!(!both(text), "{text}");
    }
}

#[test]
fn every_field_of_a_vm_is_explained() {
    let schema = schema(Some(Kind::Vm));
    let fields = schema["$defs"]["VmSpec"]["properties"].as_object();
    for (name, field) in fields.expect("a VM has fields") {
        assert!(field["description"].is_string(), "{name}: {field}");
    }
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
}
