//! Which VMs filters mean, and how filters fail.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{Kind, Metadata, PortMapping, Vm, VmSpec, Volume, VolumeMount, view};

fn vm() -> Vm {
    let metadata = Metadata {
        name: "web-1".into(),
        uid: Some("0123456789abcdef".parse().expect("a uid")),
        created: Some(jiff::Timestamp::from_second(100).expect("in range")),
        labels: BTreeMap::from([
            ("app".into(), "web".into()),
            ("empty".into(), String::new()),
        ]),
        annotations: BTreeMap::new(),
    };
    let mut vm = Vm::new(Kind::Vm, metadata, VmSpec::default());
    vm.spec.image.oci = Some("nginx:alpine".parse().expect("a reference"));
    vm.spec.memory = crate::Size::GIB;
    vm.spec.network.ports = PortMapping::parse_all(["8080:80", "53:53/udp"]).expect("mappings");
    vm.spec.storage.volumes = vec![Volume {
        name: "data".into(),
        block_device: Some(crate::BlockDevice {
            path: "/dev/loop7".into(),
        }),
        ..Volume::default()
    }];
    vm.spec.storage.volume_mounts = vec![VolumeMount {
        name: "data".into(),
        mount_path: "/srv".into(),
    }];
    vm.status.state = Some("stopped".into());
    vm.status.exit_code = Some(3);
    vm.status.network.interfaces = vec![crate::InterfaceStatus {
        name: "eth0".into(),
        network: "blue".into(),
        mac: "02:00:00:00:00:01".parse().expect("a MAC"),
        addresses: Vec::new(),
        gateway: None,
        refused: None,
    }];
    vm
}

fn accepted(texts: &[&str]) -> bool {
    let mut filters =
        Filters::<VmCondition>::parse(texts).unwrap_or_else(|error| panic!("{error}"));
    for condition in filters.conditions() {
        if let Some(moment) = condition.moment() {
            moment.at = moment
                .of
                .parse()
                .ok()
                .and_then(|it| jiff::Timestamp::from_second(it).ok());
        }
    }
    let vm = vm();
    filters
        .accept(&vm, &Value::Object(view::vm(&vm)))
        .expect("fields that are there")
}

#[test]
fn templates_are_compared_as_text() {
    for yes in [
        "{{.ObjectMeta.Name}}=web-1",
        "{{.ObjectMeta.Name}}==web-1",
        "{{.Spec.Memory}}=~1024",
        "{{.Spec.Memory}}=1024.0 MB",
        "{{.ObjectMeta.Labels}}=~app:web",
        "{{.Status.Running}}=false",
        "{{.Status.Running}}!=true",
        "{{.ObjectMeta.Name}}!~db",
        "{{.ObjectMeta.Name}}=web-1,{{.Spec.CPUs}}=1",
        "{{.ObjectMeta.Name}}=web-1, {{.Spec.CPUs}}!=2",
        "{{index .Labels \"app\"}}=web",
        "{{index .Labels \"a,}}\"}}=",
        "{{.Spec.Image.OCI}}=nginx:alpine",
        "{{.Status.Network.IPAddresses}}=",
    ] {
        assert!(accepted(&[yes]), "{yes}");
    }
    for no in [
        "{{.ObjectMeta.Name}}=web",
        "{{.ObjectMeta.Name}}=web-1,{{.Spec.CPUs}}=2",
        "{{.Spec.Memory}}!~1024",
        "{{.ObjectMeta.Name}}!=web-1",
    ] {
        assert!(!accepted(&[no]), "{no}");
    }
}

#[test]
fn conditions_are_those_of_docker() {
    for yes in [
        "name=web",
        "name=^/web-1$",
        "name=1$",
        "id=0123",
        "label=app",
        "label=app=web",
        "label=empty=",
        "status=exited",
        "status=stopped",
        "exited=3",
        "network=blue",
        "ancestor=nginx:alpine",
        "ancestor=nginx",
        "ancestor=docker.io/library/nginx",
        "volume=data",
        "volume=/srv",
        "volume=/dev/loop7",
        "publish=80",
        "publish=8080/tcp",
        "publish=53/udp",
        "publish=8000-9000",
        "before=101",
        "since=99",
    ] {
        assert!(accepted(&[yes]), "{yes}");
    }
    for no in [
        "name=db",
        "name=^eb",
        "id=123",
        "label=App",
        "label=app=db",
        "status=running",
        "exited=0",
        "network=red",
        "ancestor=nginx:latest",
        "ancestor=debian",
        "volume=/",
        "publish=53",
        "publish=443",
        "before=100",
        "since=100",
    ] {
        assert!(!accepted(&[no]), "{no}");
    }
}

#[test]
fn of_one_key_any_of_several_all() {
    assert!(accepted(&["name=db", "name=web"]));
    assert!(!accepted(&["name=web", "status=running"]));
    assert!(accepted(&["label=app", "label=empty"]));
    assert!(!accepted(&["label=app", "label=other"]));
    assert!(accepted(&[
        "status=running",
        "status=exited",
        "{{.Name}}=web-1"
    ]));
    assert!(!accepted(&["name=web", "{{.Name}}=db"]));
    assert!(accepted(&[]));
}

#[test]
fn a_volume_is_found_by_whatever_is_behind_it() {
    let path = |path: &str| Some(crate::HostPath { path: path.into() });
    let mut vm = Vm::new(Kind::Vm, Metadata::default(), VmSpec::default());
    vm.spec.storage.volumes = vec![
        Volume {
            file: path("/data/disk"),
            ..Volume::default()
        },
        Volume {
            directory: path("/data/site"),
            ..Volume::default()
        },
    ];
    for (text, is) in [
        ("volume=/data/disk", true),
        ("volume=/data/site", true),
        ("volume=/data", false),
    ] {
        let filters = Filters::<VmCondition>::parse(&[text]).expect("a filter");
        let accepted = filters.accept(&vm, &Value::Object(view::vm(&vm)));
        assert_eq!(accepted.expect("fields that are there"), is, "{text}");
    }
}

#[test]
fn images_and_networks_have_conditions_of_their_own() {
    let metadata = Metadata {
        name: "nginx:alpine".into(),
        ..Metadata::default()
    };
    let image = ImageFacts {
        metadata,
        oci: Some("nginx:alpine".parse().expect("a reference")),
    };
    let is = |text: &str| {
        let filters = Filters::<ImageCondition>::parse(&[text]).expect("a filter");
        filters.accept(&image, &Value::Nil).expect("no template")
    };
    assert!(is("reference=nginx") && is("name=alp") && is("dangling=false"));
    assert!(!is("reference=nginx:1") && !is("dangling=true") && !is("label=x"));
    let network = NetworkFacts {
        name: "blue".into(),
        plugins: vec!["bridge".into()],
    };
    let is = |text: &str| {
        let filters = Filters::<NetworkCondition>::parse(&[text]).expect("a filter");
        filters.accept(&network, &Value::Nil).expect("no template")
    };
    assert!(is("name=bl") && is("driver=bridge") && is("type=bridge") && !is("driver=macvlan"));
}

#[test]
fn faults_say_where_and_what_to_do() {
    let fault = |text: &str| {
        let error = Filters::<VmCondition>::parse(&[text]).expect_err(text);
        format!("{error}\n  hint: {}\n", error.hint().unwrap_or_default())
    };
    let faults: String = [
        "",
        "web",
        "{{.Name}}",
        "{{.Name}}<3",
        "{{.Name",
        "{{.Name}}=a,label=b",
        "{{.Name}}=a,",
        "é{{.Name}}=a",
        "{{nam}}=a",
        "{{.Name}}=a,{{if}}=a",
        "statu=running",
        "colour=red",
        "status=asleep",
        "name!=web",
        "name=we*",
        "exited=x",
        "publish=99999",
        "label=",
        "ancestor=A",
    ]
    .map(fault)
    .concat();
    insta::assert_snapshot!(faults);
}

#[test]
fn a_field_that_is_not_there_is_a_fault() {
    let filters = Filters::<VmCondition>::parse(&["{{.Nam}}=x"]).expect("a filter");
    let vm = vm();
    let error = filters
        .accept(&vm, &Value::Object(view::vm(&vm)))
        .expect_err("no field");
    assert_eq!(error.hint().as_deref(), Some("did you mean .Name?"));
}

proptest! {
    #[test]
    fn any_text_is_a_filter_or_a_fault(text in "(\\{\\{\\.[A-Z][a-z]{0,4}\\}\\})?.{0,40}") {
        match Filters::<VmCondition>::parse(&[&text]) {
            Ok(filters) => {
                let vm = vm();
                let _ = filters.accept(&vm, &Value::Object(view::vm(&vm)));
            }
            Err(error) => {
                prop_assert!(error.position <= text.chars().count() + 1, "{error}");
                let _ = error.hint();
            }
        }
    }
}
