//! Where in a manifest's text a field is, for faults that only the whole object shows.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// A place in a text, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Line.
    pub line: u64,
    /// Column, in characters.
    pub column: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// The places of all fields of a manifest.
#[derive(Debug)]
pub struct Positions(Option<Spanned<Node>>);

impl Positions {
    /// Of a text that was read as an object before; of any other there are none.
    pub fn read(text: &str) -> Self {
        Self(serde_saphyr::from_str(text).ok())
    }

    /// Where the field `path` (`spec.network.ports[1]`) is; of one that is not given, where its
    /// nearest surroundings are.
    pub fn of(&self, path: &str) -> Option<Position> {
        let mut node = self.0.as_ref()?;
        for step in steps(path) {
            match node.value.step(step) {
                Some(next) => node = next,
                None => break,
            }
        }
        let (line, column) = (node.referenced.line(), node.referenced.column());
        (line > 0).then_some(Position { line, column })
    }
}

/// The names and numbers of a path, in order.
fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.split(['.', '[', ']']).filter(|step| !step.is_empty())
}

/// A value with the places of what is in it.
#[derive(Debug)]
enum Node {
    Map(Vec<(String, Spanned<Node>)>),
    List(Vec<Spanned<Node>>),
    Scalar,
}

impl Node {
    fn step(&self, step: &str) -> Option<&Spanned<Self>> {
        match self {
            Self::Map(fields) => {
                let (_, node) = fields.iter().find(|(name, _)| name == step)?;
                Some(node)
            }
            Self::List(items) => items.get(step.parse::<usize>().ok()?),
            Self::Scalar => None,
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

macro_rules! scalars {
    ($($visit:ident: $type:ty),*) => {
        $(fn $visit<E>(self, _: $type) -> Result<Node, E> {
            Ok(Node::Scalar)
        })*
    };
}

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    scalars!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut fields = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            fields.push((name, map.next_value()?));
        }
        Ok(Node::Map(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
apiVersion: ignite.weave.works/v1alpha4
kind: VM
metadata: { name: web }
spec:
  image: { oci: nginx }
  memory: 1MB
  network:
    ports:
    - { hostPort: 80, vmPort: 80 }
    - hostPort: 0
      vmPort: 81
";

    fn at(path: &str) -> Option<String> {
        Positions::read(TEXT).of(path).map(|it| it.to_string())
    }

    #[test]
    fn fields_have_places() {
        assert_eq!(at("spec.memory").as_deref(), Some("line 6, column 11"));
        assert_eq!(
            at("spec.network.ports[1].hostPort").as_deref(),
            Some("line 10, column 17")
        );
        assert_eq!(at("metadata.name").as_deref(), Some("line 3, column 19"));
    }

    #[test]
    fn what_is_not_given_is_where_it_would_be() {
        assert_eq!(at("spec.cpus"), at("spec"));
        assert_eq!(at("spec.network.ports[7]"), at("spec.network.ports"));
        assert!(at("nonsense").is_some());
        assert!(Positions::read("[").of("spec").is_none());
    }
}
