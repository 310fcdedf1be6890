//! Objects as templates see them: their own fields, and the short ways to what is asked for most.
//!
//! What a manifest leaves out is there as well, and empty: maps as `map[]`, lists as nothing, booleans
//! as `false`.

use std::collections::BTreeMap;

use crate::template::{ObjectValue, Value};
use crate::{Image, Kernel, Object, PortMapping, Ssh, Vm};

/// A VM.
pub fn vm(vm: &Vm) -> ObjectValue {
    let mut root = object(vm);
    set(
        &mut root,
        "Spec.SSH",
        vm.spec.ssh.as_ref().map_or(Value::Nil, ssh),
    );
    set(
        &mut root,
        "Spec.Network.Ports",
        ports(&vm.spec.network.ports),
    );
    empty(&mut root, &VM_LISTS, || Value::List(Vec::new()));
    empty(&mut root, &VM_FLAGS, || Value::Bool(false));
    empty(&mut root, &["Status.Counters"], || {
        Value::Map(BTreeMap::new())
    });
    root
}

/// Lists a manifest of a VM leaves out where they are empty.
const VM_LISTS: [&str; 10] = [
    "Spec.Network.Interfaces",
    "Spec.Storage.Volumes",
    "Spec.Storage.VolumeMounts",
    "Spec.CopyFiles",
    "Spec.Command",
    "Spec.Env",
    "Spec.DNS",
    "Spec.ExtraHosts",
    "Status.Network.IPAddresses",
    "Status.Network.Interfaces",
];

/// Booleans it leaves out where they are false.
const VM_FLAGS: [&str; 2] = ["Spec.Jailer", "Spec.RecreateOnChange"];

/// An image.
pub fn image(image: &Image) -> ObjectValue {
    object(image)
}

/// A kernel.
pub fn kernel(kernel: &Kernel) -> ObjectValue {
    object(kernel)
}

/// What all objects have in common.
fn object<Spec, Status>(object: &Object<Spec, Status>) -> ObjectValue
where
    Object<Spec, Status>: serde::Serialize,
{
    let Value::Object(mut root) = Value::of(object) else {
        return ObjectValue::default();
    };
    let map = || Value::Map(BTreeMap::new());
    empty(
        &mut root,
        &["ObjectMeta.Labels", "ObjectMeta.Annotations"],
        map,
    );
    let metadata = root.get("ObjectMeta").cloned();
    for name in ["Name", "UID", "Created", "Labels", "Annotations"] {
        let value = metadata.as_ref().and_then(|it| it.get(name)).cloned();
        root = root.with(name, value.unwrap_or(Value::Nil));
    }
    root
}

/// As Weave Ignite's structure is printed: whether a key is made, and the path of a given one.
fn ssh(ssh: &Ssh) -> Value {
    let (generate, path) = match ssh {
        Ssh::Generate => (true, ""),
        Ssh::Key(path) => (false, path.as_str()),
        Ssh::Off => (false, ""),
    };
    let object = ObjectValue::default()
        .with("Generate", Value::Bool(generate))
        .with("PublicKey", Value::text(path));
    let object = object.with_text(format_args!("{{{generate} {path}}}"));
    Value::Object(object.said_as(Value::of(ssh)))
}

fn ports(ports: &[PortMapping]) -> Value {
    let port = |port: &PortMapping| match Value::of(port) {
        Value::Object(object) => Value::Object(object.with_text(port)),
        other => other,
    };
    Value::List(ports.iter().map(port).collect())
}

/// Puts a value into a field that is there.
fn set(root: &mut ObjectValue, path: &str, value: Value) {
    if let Some(field) = field(root, path) {
        *field = value;
    }
}

/// Puts something into each of these fields that holds nothing.
fn empty(root: &mut ObjectValue, paths: &[&str], value: impl Fn() -> Value) {
    for path in paths {
        if let Some(field @ Value::Nil) = field(root, path) {
            *field = value();
        }
    }
}

fn field<'a>(root: &'a mut ObjectValue, path: &str) -> Option<&'a mut Value> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    match (root.get_mut(first)?, rest) {
        (value, "") => Some(value),
        (Value::Object(object), rest) => field(object, rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Metadata, Template, VmSpec};

    /// A VM with one of everything that 1.5 of Weave Ignite's words for templates name.
    fn web() -> Vm {
        let metadata = Metadata {
            name: "web".into(),
            uid: Some("0123456789abcdef".parse().expect("a uid")),
            created: Some(jiff::Timestamp::UNIX_EPOCH),
            labels: BTreeMap::from(
                [("tier", "front"), ("app", "web")].map(|(key, value)| (key.into(), value.into())),
            ),
            annotations: BTreeMap::new(),
        };
        let mut vm = Vm::new(Kind::Vm, metadata, VmSpec::default());
        let oci = |text: &str| Some(text.parse().expect("a reference"));
        vm.spec.image.oci = oci("docker.io/weaveworks/ignite-ubuntu:latest");
        vm.spec.kernel.oci = oci("weaveworks/ignite-kernel:5.10.51");
        vm.spec.kernel.cmd_line = Some("console=ttyS0 reboot=k".into());
        vm.spec.sandbox.oci = oci("weaveworks/ignite:dev");
        vm.spec.memory = crate::Size::GIB;
        vm.spec.network.ports =
            PortMapping::parse_all(["80:80", "[::1]:53:53/udp"]).expect("mappings");
        vm.status.running = true;
        vm.status.runtime.name = "qemu-tcg".into();
        vm.status.runtime.id = "ignite-0123456789abcdef".into();
        vm.status.network.plugin = Some("docker-bridge".parse().expect("a plugin"));
        vm.status.network.ip_addresses = Some(
            ["10.61.0.2", "fd00::2"]
                .map(|text| text.parse().expect("an address"))
                .into(),
        );
        vm.status.id_prefix = Some("ignite".parse().expect("a prefix"));
        vm
    }

    fn shown(vm: &Vm, template: &str) -> String {
        let template: Template = template.parse().expect("a template");
        template
            .render(&Value::Object(super::vm(vm)))
            .expect("fields")
    }

    #[test]
    fn every_field_of_weave_ignite_is_printed_as_there() {
        let vm = web();
        for (template, text) in [
            ("{{.ObjectMeta.Name}}", "web"),
            ("{{.ObjectMeta.UID}}", "0123456789abcdef"),
            ("{{.ObjectMeta.Labels}}", "map[app:web tier:front]"),
            ("{{.ObjectMeta.Created}}", "1970-01-01T00:00:00Z"),
            (
                "{{.Name}} {{.UID}} {{.Labels}}",
                "web 0123456789abcdef map[app:web tier:front]",
            ),
            ("{{.Annotations}}{{.Created}}", "map[]1970-01-01T00:00:00Z"),
            ("{{.Spec.CPUs}}", "1"),
            ("{{.Spec.Memory}}", "1024.0 MB"),
            ("{{.Spec.DiskSize}}", "4.0 GB"),
            ("{{.Spec.Image.OCI}}", "weaveworks/ignite-ubuntu:latest"),
            ("{{.Spec.Kernel.OCI}}", "weaveworks/ignite-kernel:5.10.51"),
            ("{{.Spec.Kernel.CmdLine}}", "console=ttyS0 reboot=k"),
            ("{{.Spec.Sandbox.OCI}}", "weaveworks/ignite:dev"),
            ("{{.Spec.SSH}}", "<nil>"),
            (
                "{{.Spec.Network.Ports}}",
                "0.0.0.0:80->80/tcp, [::1]:53->53/udp",
            ),
            ("{{.Status.Running}}", "true"),
            ("{{.Status.Runtime.Name}}", "qemu-tcg"),
            ("{{.Status.Runtime.ID}}", "ignite-0123456789abcdef"),
            ("{{.Status.Network.Plugin}}", "docker-bridge"),
            ("{{.Status.Network.IPAddresses}}", "10.61.0.2, fd00::2"),
            ("{{.Status.IDPrefix}}", "ignite"),
            ("{{.Spec.Image}}", "{weaveworks/ignite-ubuntu:latest}"),
            (
                "'{{.Spec.Memory}} {{.Spec.CPUs}} {{.Spec.DiskSize}} {{.Spec.SSH}}'",
                "'1024.0 MB 1 4.0 GB <nil>'",
            ),
        ] {
            assert_eq!(shown(&vm, template), text, "{template}");
        }
    }

    #[test]
    fn ssh_has_three_forms() {
        let mut vm = web();
        for (ssh, text) in [
            (Ssh::Generate, "{true }"),
            (Ssh::Key("/path".into()), "{false /path}"),
            (Ssh::Off, "{false }"),
        ] {
            vm.spec.ssh = Some(ssh);
            assert_eq!(shown(&vm, "{{.Spec.SSH}}"), text);
        }
    }

    #[test]
    fn what_is_left_out_is_empty() {
        let vm = Vm::new(Kind::Vm, Metadata::default(), VmSpec::default());
        let template = "{{.Name}}|{{.UID}}|{{.Labels}}|{{.Spec.Network.Ports}}|{{.Spec.Jailer}}|\
             {{.Spec.Command}}|{{.Status.Network.IPAddresses}}|{{.Status.Confinement.User}}|\
             {{.Status.Counters}}|{{.Spec.Image.OCI}}|{{.Labels.app}}";
        assert_eq!(
            shown(&vm, template),
            "|<nil>|map[]||false|||<nil>|map[]|<nil>|<no value>"
        );
    }

    #[test]
    fn json_is_what_inspect_writes() {
        let mut vm = web();
        for ssh in [None, Some(Ssh::Generate), Some(Ssh::Key("/key.pub".into()))] {
            vm.spec.ssh = ssh;
            let json: serde_json::Value =
                serde_json::from_str(&shown(&vm, "{{json .}}")).expect("JSON");
            assert_eq!(json, serde_json::to_value(&vm).expect("plain data"));
        }
        assert_eq!(
            shown(&vm, "{{json .Spec.Memory}} {{json .Labels.app}}"),
            r#""1GB" "web""#
        );
    }
}
