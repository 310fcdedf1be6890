use super::*;
use crate::{PortMapping, Size};

const VM: &str = "
apiVersion: ignite.weave.works/v1alpha4
kind: VM
metadata:
  name: web
  labels: { tier: front }
spec:
  image: { oci: nginx }
  cpus: 2
  memory: 800MB
  network:
    ports:
    - { hostPort: 8080, vmPort: 80 }
  ssh: true
  env: [ MODE=no ]
";

fn vm(text: &str) -> Vm {
    match decode(text) {
        Ok(Manifest::Vm(vm)) => *vm,
        other => panic!("not a VM: {other:?}"),
    }
}

#[test]
fn reads_a_vm_and_fills_in_the_defaults() {
    let vm = vm(VM);
    assert_eq!(vm.metadata.name, "web");
    assert_eq!(
        vm.spec.image.oci.as_ref().expect("given").familiar(),
        "nginx:latest"
    );
    assert_eq!(
        (vm.spec.cpus, vm.spec.memory, vm.spec.disk_size),
        (2, Size::from_mib(800), VmSpec::DEFAULT_DISK_SIZE)
    );
    assert_eq!(
        vm.spec.network.ports,
        PortMapping::parse("8080:80").expect("valid")
    );
    assert_eq!(vm.spec.env[0].value(), "no");
}

#[test]
fn what_is_written_is_read_again() {
    let vm = vm(VM);
    insta::assert_snapshot!(encode_yaml(&vm));
    insta::assert_snapshot!(encode_json(&vm));
    for text in [encode_yaml(&vm), encode_json(&vm)] {
        assert_eq!(
            decode(&text).expect("own text"),
            Manifest::Vm(Box::new(vm.clone()))
        );
    }
}

#[test]
fn older_versions_are_read() {
    let text = "{apiVersion: ignite.weave.works/v1alpha2, kind: VM, metadata: {name: a}, spec: {image: {oci: a}, cpus: 0}, \
                status: {running: true, runtime: {id: x}, ipAddresses: [10.0.0.1]}}";
    let vm = vm(text);
    assert_eq!(vm.spec.cpus, 1);
    assert_eq!(vm.status.runtime.id, "x");
    assert_eq!(vm.status.network.ip_addresses.expect("given").len(), 1);
}

#[test]
fn images_and_kernels() {
    let kernel = "{apiVersion: ignite.weave.works/v1alpha4, kind: Kernel, metadata: {name: k, uid: 0123456789abcdef}, spec: {oci: 'a/k:5.10'}, status: {version: 5.10.1}}";
    let Ok(Manifest::Kernel(kernel)) = decode(kernel) else {
        panic!("a kernel")
    };
    assert_eq!(kernel.status.version, "5.10.1");
    let image = "{apiVersion: ignite.weave.works/v1alpha3, kind: Image, spec: {oci: a}}";
    let Ok(Manifest::Image(image)) = decode(image) else {
        panic!("an image")
    };
    let again = decode(&encode_yaml(&image)).expect("own text");
    assert_eq!(again, Manifest::Image(image));
}

#[test]
fn faults() {
    let head = "apiVersion: ignite.weave.works/v1alpha4\nkind: VM\n";
    let faults = [
        "".to_owned(),
        "# nothing\n---\n".to_owned(),
        "kind: VM".to_owned(),
        "- a".to_owned(),
        "apiVersion: v1\nkind: VM".to_owned(),
        "apiVersion: ignite.weave.works/v1alpha4\nkind: Pod".to_owned(),
        format!("{head}spec: {{image: {{oci: a}}, cpu: 2}}"),
        format!("{head}spec: {{memory: 1.5GB}}"),
        format!("{head}spec: {{memory: 1GB, memory: 2GB}}"),
        format!("{head}metadata: {{uid: 1234}}\nspec: {{}}"),
        format!("{head}spec: {{image: {{oci: UPPER}}}}"),
        format!("{head}spec: {{}}\n---\n{head}spec: {{}}"),
        format!("{head}spec: ["),
        "a".repeat(MAX_LENGTH + 1),
    ];
    let report: Vec<String> = faults
        .iter()
        .map(|text| decode(text).expect_err(text).to_string())
        .collect();
    insta::assert_snapshot!(report.join("\n"));
}

proptest::proptest! {
    #[test]
    fn never_panics(text in "(apiVersion: ignite.weave.works/v1alpha4\nkind: VM\n)?[a-z:\\[\\]{}&*!|>\"' \n-]{0,60}") {
        let _ = decode(&text);
    }
}
