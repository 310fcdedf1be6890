//! How much may be done at once.

use ignite_api::Reference;

use crate::plan::{Act, Order};

/// VMs that are made at once.
const MAKES: usize = 128;

/// Those among them whose images are of one registry: one that hangs holds up its own.
const FROM_ONE_REGISTRY: usize = 16;

/// Other work at once: most of the time it waits for a guest.
const OTHERS: usize = 32;

/// Boots want a processor each: with more at once, all of them are late.
const LEAST_STARTS: usize = 2;

/// Limits of each kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gates {
    starts: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Start,
    Make,
    Other,
}

impl Gates {
    /// What suits this host.
    pub fn of_host() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            starts: processors.max(LEAST_STARTS),
        }
    }

    /// Whether there is room for one more, beside those at work.
    pub fn has_room<'a>(
        self,
        order: &Order,
        at_work: impl Iterator<Item = &'a Order> + Clone,
    ) -> bool {
        let kind = kind(order.act);
        let limit = match kind {
            Kind::Start => self.starts,
            Kind::Make => MAKES,
            Kind::Other => OTHERS,
        };
        let same = at_work.filter(|order| self::kind(order.act) == kind);
        same.clone().count() < limit && (kind != Kind::Make || is_registry_free(order, same))
    }
}

/// Whether the registries an order may ask have not enough to do already.
fn is_registry_free<'a>(order: &Order, makes: impl Iterator<Item = &'a Order> + Clone) -> bool {
    registries(order).all(|registry| {
        let asking = makes.clone().filter(|other| {
            let mut theirs = registries(other);
            theirs.any(|other| other == registry)
        });
        asking.count() < FROM_ONE_REGISTRY
    })
}

fn registries(order: &Order) -> impl Iterator<Item = &str> {
    let spec = order.vm.as_deref().map(|vm| &vm.spec);
    let references = spec.map(|spec| [&spec.image.oci, &spec.kernel.oci]);
    let references = references.into_iter().flatten().flatten();
    references.map(Reference::registry)
}

fn kind(act: Act) -> Kind {
    match act {
        Act::Start | Act::Restart => Kind::Start,
        Act::Create | Act::Recreate => Kind::Make,
        Act::Adopt | Act::Note | Act::Update | Act::Stop | Act::Remove => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ignite_api::Vm;

    use super::*;
    use crate::desired::Key;

    #[test]
    fn each_kind_has_its_own_room() {
        let gates = Gates { starts: 2 };
        let order = |act| order(act, "box");
        let at_work = [Act::Start, Act::Restart, Act::Create].map(order);
        let has_room = |act| gates.has_room(&order(act), at_work.iter());
        assert!(!has_room(Act::Start));
        assert!(has_room(Act::Create) && has_room(Act::Remove));
        assert!(Gates::of_host().starts >= LEAST_STARTS);
    }

    #[test]
    fn a_registry_that_hangs_holds_up_its_own_images_alone() {
        let gates = Gates { starts: 2 };
        let hanging = order(Act::Recreate, "registry.example/box");
        let many: Vec<Order> = vec![hanging; FROM_ONE_REGISTRY];
        let has_room = |image| gates.has_room(&order(Act::Create, image), many.iter());
        assert!(!has_room("registry.example/other"));
        assert!(has_room("other.example/box"));
        let registry = |number| format!("registry{number}.example/box");
        let all: Vec<Order> = (0..MAKES)
            .map(|number| order(Act::Create, &registry(number)))
            .collect();
        assert!(!gates.has_room(&order(Act::Create, "box"), all.iter()));
    }

    fn order(act: Act, image: &str) -> Order {
        let vm = Vm::of_image(image.parse().expect("a reference"));
        Order {
            key: Key::Name("web".into()),
            act,
            uid: None,
            name: "web".into(),
            file: "web.yaml".into(),
            vm: Some(Arc::new(vm)),
            defaults: Arc::default(),
            wanted: true,
        }
    }
}
