//! Objects as templates see them: their own fields, and beside those the names Docker has for them.

use ignite_api::filter::{ImageCondition, ImageFacts, NetworkCondition, NetworkFacts};
use ignite_api::template::{ObjectValue, Value};
use ignite_api::{Image, Kernel, Metadata, Object, OciChoice, OciSource, Vm, view};
use ignite_engine::{NetworkLine, VmLine};
use jiff::Timestamp;
use serde::Serialize;

use crate::duration::since;
use crate::listing;
use crate::select::Listed;

/// A VM.
pub fn vm(vm: &Vm) -> ObjectValue {
    let root = view::vm(vm);
    let (spec, status) = (&vm.spec, &vm.status);
    let networks = status.network.interfaces.iter().map(|it| &it.network);
    let mounts = spec.storage.volume_mounts.iter().map(|it| &it.mount_path);
    let (labels, ports) = (
        inner(&root, &["Labels"]),
        inner(&root, &["Spec", "Network", "Ports"]),
    );
    named(root, &vm.metadata)
        .with("Names", Value::text(&vm.metadata.name))
        .with(
            "Image",
            spec.image.oci.as_ref().map_or(Value::Nil, Value::text),
        )
        .with("Command", Value::text(spec.command.join(" ")))
        .with(
            "State",
            status.state.as_ref().map_or(Value::Nil, Value::text),
        )
        .with("Size", Value::Size(spec.disk_size))
        .with("Label", labels)
        .with("Ports", ports)
        .with("Networks", list(networks))
        .with("Mounts", list(mounts))
}

/// The same as `ps` has it, with what is said of its state.
pub fn vm_line(line: &VmLine, recorded: &Vm, now: Timestamp) -> ObjectValue {
    let ago = |then| since(then, now).unwrap_or_else(|| "<unknown>".into());
    let mut root = vm(recorded);
    if let Some(Value::Object(status)) = root.get_mut("Status") {
        *status = std::mem::take(status).with_text(line.status(ago));
    }
    root
}

/// An image.
pub fn image(image: &Image) -> ObjectValue {
    sourced(view::image(image), image, &image.status.oci_source)
}

/// A kernel.
pub fn kernel(kernel: &Kernel) -> ObjectValue {
    let root = sourced(view::kernel(kernel), kernel, &kernel.status.oci_source);
    root.with("Version", Value::text(&kernel.status.version))
}

/// A network, in short or whole.
pub fn network<T: Serialize>(network: &T) -> ObjectValue {
    let Value::Object(root) = Value::of(network) else {
        return ObjectValue::default();
    };
    let name = inner(&root, &["Name"]);
    let plugins = inner(&root, &["Plugins"]);
    let driver = match &plugins {
        Value::List(plugins) => match plugins.first() {
            Some(Value::Object(plugin)) => inner(plugin, &["Type"]),
            Some(name) => name.clone(),
            None => Value::Nil,
        },
        _ => Value::Nil,
    };
    root.with("ID", name).with("Driver", driver)
}

/// Names for uid and age.
fn named(root: ObjectValue, metadata: &Metadata) -> ObjectValue {
    let age = metadata.created.and_then(|it| since(it, Timestamp::now()));
    let ago = age.map_or(Value::text("<unknown>"), |age| Value::text(age + " ago"));
    let created = inner(&root, &["Created"]);
    root.with("ID", metadata.uid.map_or(Value::Nil, Value::text))
        .with("CreatedAt", created)
        .with("RunningFor", ago.clone())
        .with("CreatedSince", ago)
}

/// Names for what came from a registry.
fn sourced<S>(root: ObjectValue, object: &Object<OciChoice, S>, source: &OciSource) -> ObjectValue {
    let name = object.metadata.name.as_str();
    let tagged = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
    let (repository, tag) = tagged.unwrap_or((name, "<none>"));
    let id = source.id.as_deref().unwrap_or_default();
    let digest = id
        .rsplit_once('@')
        .map_or(Value::Nil, |(_, digest)| Value::text(digest));
    named(root, &object.metadata)
        .with("Repository", Value::text(repository))
        .with("Tag", Value::text(tag))
        .with("Digest", digest)
        .with("Size", Value::Size(source.size))
}

fn list<T: std::fmt::Display>(items: impl Iterator<Item = T>) -> Value {
    Value::List(items.map(Value::text).collect())
}

/// A field of a field; nothing where there is none.
fn inner(root: &ObjectValue, path: &[&str]) -> Value {
    let [first, rest @ ..] = path else {
        return Value::Nil;
    };
    match (root.get(first), rest) {
        (Some(value), []) => value.clone(),
        (Some(Value::Object(object)), rest) => inner(object, rest),
        _ => Value::Nil,
    }
}

/// What comes from a registry, and is listed and selected alike.
pub trait Sourced {
    /// The object with all its names.
    fn root(&self) -> ObjectValue;
}

impl Sourced for Image {
    fn root(&self) -> ObjectValue {
        image(self)
    }
}

impl Sourced for Kernel {
    fn root(&self) -> ObjectValue {
        kernel(self)
    }
}

impl<S> Listed for Object<OciChoice, S>
where
    Self: Sourced + Serialize,
{
    type Condition = ImageCondition;

    fn id(&self) -> String {
        listing::uid(self)
    }

    fn facts(&self) -> ImageFacts {
        ImageFacts {
            metadata: self.metadata.clone(),
            oci: self.spec.oci.clone(),
        }
    }

    fn value(&self) -> Value {
        Value::Object(self.root())
    }
}

impl Listed for NetworkLine {
    type Condition = NetworkCondition;

    fn id(&self) -> String {
        self.name.clone()
    }

    fn facts(&self) -> NetworkFacts {
        NetworkFacts {
            name: self.name.clone(),
            plugins: self.plugins.clone(),
        }
    }

    fn value(&self) -> Value {
        Value::Object(network(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ignite_api::{Kind, Template, VmSpec};
    use ignite_engine::Readiness;

    fn shown(value: ObjectValue, template: &str) -> String {
        let template: Template = template.parse().expect("a template");
        template.render(&Value::Object(value)).expect("fields")
    }

    #[test]
    fn a_vm_has_dockers_names() {
        let mut it = Vm::new(Kind::Vm, Metadata::default(), VmSpec::default());
        it.metadata.name = "web".into();
        it.metadata.labels.insert("app".into(), "x".into());
        it.spec.image.oci = Some("nginx".parse().expect("a reference"));
        it.spec.network.ports = ignite_api::PortMapping::parse_all(["80:80"]).expect("one");
        it.status.state = Some("created".into());
        assert_eq!(
            shown(
                vm(&it),
                "{{.Names}}|{{.Image}}|{{.State}}|{{.Ports}}|{{.Networks}}|{{.Label \"app\"}}|{{.Status.Running}}"
            ),
            "web|nginx:latest|created|0.0.0.0:80->80/tcp||x|false"
        );
        // JSON is the object's own.
        assert!(!shown(vm(&it), "{{json .}}").contains("Names"));
    }

    #[test]
    fn images_have_repository_and_tag() {
        let mut it = Image::new(Kind::Image, Metadata::default(), OciChoice::default());
        it.metadata.name = "localhost:5000/app".into();
        assert_eq!(
            shown(image(&it), "{{.Repository}} {{.Tag}}"),
            "localhost:5000/app <none>"
        );
        it.metadata.name = "nginx:alpine".into();
        it.status.oci_source.id = Some("oci://nginx:alpine@sha256:00".into());
        assert_eq!(
            shown(image(&it), "{{.Repository}} {{.Tag}} {{.Digest}}"),
            "nginx alpine sha256:00"
        );
    }

    #[test]
    fn networks_have_a_driver() {
        let it = NetworkLine {
            name: "blue".into(),
            file: None,
            default: true,
            plugins: vec!["bridge".into(), "portmap".into()],
            cni_version: "1.1.0".into(),
            status: Readiness::Ready,
            attachments: 2,
        };
        assert_eq!(
            shown(
                network(&it),
                "{{.ID}} {{.Driver}} {{.CNIVersion}} {{.Plugins}} {{.Attachments}} {{.Default}} {{.File}}"
            ),
            "blue bridge 1.1.0 bridge, portmap 2 true <nil>"
        );
    }
}
