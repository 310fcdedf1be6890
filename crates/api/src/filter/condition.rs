//! `key=value`, as Docker has it: what all of them have in common, and those of images and networks.

use std::collections::BTreeMap;

use crate::{Metadata, Reference};

/// What one `key=value` asks for.
pub trait Condition: Sized {
    /// What is looked at.
    type Subject;
    /// The keys.
    const KEYS: &'static [&'static str];

    /// Reads the value of one of the keys; else what is taken.
    fn read(key: &str, value: &str) -> Result<Self, &'static str>;

    /// Whether it is so.
    fn holds(&self, subject: &Self::Subject) -> bool;
}

/// Part of a name; `^` and `$` hold it to its begin and end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    text: String,
    begins: bool,
    ends: bool,
}

impl Pattern {
    /// Reads one. Names hold none of the signs a regular expression has, but for the dot.
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        let (begins, rest) = strip(text, text.strip_prefix('^'));
        let (ends, rest) = strip(rest, rest.strip_suffix('$'));
        // Docker's names begin with a slash.
        let rest = rest.strip_prefix('/').unwrap_or(rest);
        if rest.contains([
            '*', '+', '?', '(', ')', '[', ']', '{', '}', '|', '\\', '^', '$',
        ]) {
            return Err("part of a name, with ^ before its begin and $ after its end");
        }
        Ok(Self {
            text: rest.to_owned(),
            begins,
            ends,
        })
    }

    /// Whether it is in this name.
    pub(super) fn is_in(&self, name: &str) -> bool {
        match (self.begins, self.ends) {
            (true, true) => name == self.text,
            (true, false) => name.starts_with(&self.text),
            (false, true) => name.ends_with(&self.text),
            (false, false) => name.contains(&self.text),
        }
    }
}

fn strip<'a>(text: &'a str, stripped: Option<&'a str>) -> (bool, &'a str) {
    (stripped.is_some(), stripped.unwrap_or(text))
}

/// A label that is there, with any value or this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LabelCondition {
    key: String,
    value: Option<String>,
}

impl LabelCondition {
    /// Reads `KEY` or `KEY=VALUE`.
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (text, None),
        };
        if key.is_empty() {
            return Err("a label, KEY or KEY=VALUE");
        }
        let key = key.to_owned();
        Ok(Self { key, value })
    }

    /// Whether it is among these.
    pub(super) fn is_in(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.get(&self.key).is_some_and(|value| {
            let wanted = self.value.as_ref();
            wanted.is_none_or(|wanted| wanted == value)
        })
    }
}

/// An image, with any tag where none is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ImageName {
    reference: Reference,
    is_tagged: bool,
}

impl ImageName {
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        let reference: Reference = text.parse().map_err(|_| "an image reference")?;
        let last = text.rsplit('/').next().unwrap_or(text);
        let is_tagged = last.contains([':', '@']);
        Ok(Self {
            reference,
            is_tagged,
        })
    }

    pub(super) fn is(&self, image: &Reference) -> bool {
        match self.is_tagged {
            true => *image == self.reference,
            false => {
                image.registry() == self.reference.registry()
                    && image.repository() == self.reference.repository()
            }
        }
    }
}

/// What conditions on images and kernels look at.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageFacts {
    /// Identity.
    pub metadata: Metadata,
    /// The reference it came by.
    pub oci: Option<Reference>,
}

/// A condition on an image or a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageCondition(OfImage);

#[derive(Debug, Clone, PartialEq, Eq)]
enum OfImage {
    Name(Pattern),
    Id(String),
    Reference(ImageName),
    Label(LabelCondition),
    /// No image here is without a name.
    Dangling(bool),
}

impl Condition for ImageCondition {
    type Subject = ImageFacts;
    const KEYS: &'static [&'static str] = &["name", "id", "reference", "label", "dangling"];

    fn read(key: &str, value: &str) -> Result<Self, &'static str> {
        Ok(Self(match key {
            "name" => OfImage::Name(Pattern::read(value)?),
            "id" => OfImage::Id(value.to_owned()),
            "reference" => OfImage::Reference(ImageName::read(value)?),
            "label" => OfImage::Label(LabelCondition::read(value)?),
            _ => OfImage::Dangling(value.parse().map_err(|_| "true or false")?),
        }))
    }

    fn holds(&self, image: &ImageFacts) -> bool {
        let metadata = &image.metadata;
        match &self.0 {
            OfImage::Name(pattern) => pattern.is_in(&metadata.name),
            OfImage::Id(id) => metadata.uid.is_some_and(|uid| uid.as_str().starts_with(id)),
            OfImage::Reference(name) => image.oci.as_ref().is_some_and(|it| name.is(it)),
            OfImage::Label(label) => label.is_in(&metadata.labels),
            OfImage::Dangling(dangling) => *dangling == metadata.name.is_empty(),
        }
    }
}

/// What conditions on networks look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkFacts {
    /// Its name.
    pub name: String,
    /// Types of its plugins.
    pub plugins: Vec<String>,
}

/// A condition on a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkCondition(OfNetwork);

#[derive(Debug, Clone, PartialEq, Eq)]
enum OfNetwork {
    Name(Pattern),
    Driver(String),
}

impl Condition for NetworkCondition {
    type Subject = NetworkFacts;
    const KEYS: &'static [&'static str] = &["name", "driver", "type"];

    fn read(key: &str, value: &str) -> Result<Self, &'static str> {
        Ok(Self(match key {
            "name" => OfNetwork::Name(Pattern::read(value)?),
            _ => OfNetwork::Driver(value.to_owned()),
        }))
    }

    fn holds(&self, network: &NetworkFacts) -> bool {
        match &self.0 {
            OfNetwork::Name(pattern) => pattern.is_in(&network.name),
            OfNetwork::Driver(driver) => network.plugins.contains(driver),
        }
    }
}
