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
  vmm: firecracker
  jailer: true
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
        format!("{head}spec: {{vmm: xen}}"),
        format!("{head}metadata: {{uid: 1234}}\nspec: {{}}"),
        format!("{head}spec: {{image: {{oci: UPPER}}}}"),
        format!("{head}spec: {{}}\n---\n{head}spec: {{}}"),
        format!("{head}spec: ["),
        format!("{head}spec:\n\tcpus: 2"),
        format!("{head}spec:\n  cpus: 2\n memory: 1GB"),
        format!("{head}spec:\n  kernel: {{cmdLine: \"quiet}}"),
        format!("{head}metadata: {{name: web}}\nspec: image: a: b"),
        format!("{head}spec:\r\n  image: *nginx"),
        "a".repeat(MAX_LENGTH + 1),
    ];
    let report: Vec<String> = faults
        .iter()
        .map(|text| {
            let error = decode(text).expect_err(text);
            format!("{error}\n  {}", error.hint().expect("something to do"))
        })
        .collect();
    insta::assert_snapshot!(report.join("\n"));
}

proptest::proptest! {
    #[test]
    fn never_panics(text in "(apiVersion: ignite.weave.works/v1alpha4\nkind: VM\n)?[a-z:\\[\\]{}&*!|>\"' \n-]{0,60}") {
        let _ = decode(&text);
    }
}

#[test]
fn what_is_not_said_is_as_in_the_defaults() {
    let text = "
apiVersion: ignite.weave.works/v1alpha4
kind: Configuration
metadata: { name: host }
spec:
  networkPlugin: docker-bridge
  idPrefix: lab
  vmDefaults: { memory: 2GB, diskSize: 3GB, cpus: 2, kernel: { oci: kernel }, ssh: true, env: [ A=1 ] }
";
    let Ok(Manifest::Configuration(configuration)) = decode(text) else {
        panic!("a configuration: {:?}", decode(text));
    };
    assert_eq!(
        configuration.spec.network_plugin,
        Some(crate::NetworkPlugin::DockerBridge)
    );
    let defaults = configuration.spec.vm_defaults.expect("given");
    let Ok(Manifest::Vm(vm)) = decode_over(VM, &defaults) else {
        panic!("a VM");
    };
    assert_eq!(vm.spec.cpus, 2);
    assert_eq!(vm.spec.memory, Size::from_mib(800), "the manifest says it");
    assert_eq!(
        vm.spec.disk_size,
        Size::from_mib(3072),
        "the defaults say it"
    );
    assert_eq!(vm.spec.env.len(), 1, "lists are taken as a whole");
    assert_eq!(vm.spec.env[0].to_string(), "MODE=no");
    let kernel = vm.spec.kernel.oci.as_ref().expect("of the defaults");
    assert_eq!(kernel.familiar(), "kernel:latest");
}

#[test]
fn what_is_said_is_read_over_defaults_as_it_is_over_nothing() {
    let defaults = VmSpec {
        cpus: 3,
        disk_size: Size::from_mib(3072),
        command: vec!["top".into()],
        recreate_on_change: true,
        ssh: Some(crate::Ssh::Generate),
        ..VmSpec::default()
    };
    let spec = |text: &str| {
        let text = format!("apiVersion: ignite.weave.works/v1alpha4\nkind: VM\n{text}");
        match decode_over(&text, &defaults) {
            Ok(Manifest::Vm(vm)) => vm.spec,
            other => panic!("{text}: {other:?}"),
        }
    };
    // Numbers of YAML that are texts of a VM.
    let said = spec("spec: { command: [sleep, 5], env: [ A=1 ], memory: 1073741824 }\n");
    assert_eq!(said.command, ["sleep", "5"]);
    assert_eq!(said.memory, Size::from_mib(1024));
    assert_eq!((said.cpus, said.disk_size), (3, Size::from_mib(3072)));
    // Nothing, nulls, and what is said to be nothing.
    assert_eq!(spec("spec: {}\n"), defaults);
    assert_eq!(spec("spec: { ssh: null, restartPolicy: null }\n"), defaults);
    let said = spec("spec: { command: [], recreateOnChange: false, cpus: 0 }\n");
    assert!(said.command.is_empty() && !said.recreate_on_change);
    assert_eq!(said.cpus, VmSpec::DEFAULT_CPUS);
}

#[test]
fn a_configuration_is_read_strictly() {
    let text = "apiVersion: ignite.weave.works/v1alpha4\nkind: Configuration\nspec: { networkplugin: cni }\n";
    let error = decode(text).expect_err("a wrong field").to_string();
    assert!(
        error.contains("networkplugin") && error.contains("line 3"),
        "{error}"
    );
}
