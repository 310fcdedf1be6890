//! Filters: which objects of a list are meant.
//!
//! ```text
//! filter    = templates / condition
//! templates = template *( "," template )          ; all of them
//! template  = "{{" ... "}}" op value               ; compared as text
//! op        = "=" / "==" / "!=" / "=~" / "!~"      ; =~ contains, !~ does not
//! condition = key "=" value                        ; as Docker has them
//! ```
//! Of several conditions with the same key one has to hold, of different keys all; of labels all.

mod condition;
mod error;
mod template;
#[cfg(test)]
mod tests;
mod vm;

pub use condition::{Condition, ImageCondition, ImageFacts, NetworkCondition, NetworkFacts};
pub use error::{FilterError, FilterFault};
pub use vm::{Moment, VmCondition};

use crate::TemplateError;
use crate::template::{MAX_LENGTH, Value};
use template::TemplateFilter;

/// All filters of a command.
#[derive(Debug, Clone)]
pub struct Filters<C> {
    templates: Vec<TemplateFilter>,
    conditions: Vec<(&'static str, C)>,
}

impl<C> Default for Filters<C> {
    fn default() -> Self {
        Self {
            templates: Vec::new(),
            conditions: Vec::new(),
        }
    }
}

impl<C: Condition> Filters<C> {
    /// Reads filters.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, FilterError> {
        let mut filters = Self::default();
        for text in texts {
            let text = text.as_ref();
            let result = match text {
                _ if text.len() > MAX_LENGTH => Err((0, FilterFault::TooLong)),
                _ if text.trim_start().starts_with("{{") => {
                    template::parse(text).map(|found| filters.templates.extend(found))
                }
                _ => condition(text).map(|found| filters.conditions.push(found)),
            };
            result.map_err(|(at, fault)| FilterError::new(text, at, fault))?;
        }
        Ok(filters)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.templates.is_empty() && self.conditions.is_empty()
    }

    /// The conditions.
    pub fn conditions(&mut self) -> impl Iterator<Item = &mut C> {
        self.conditions.iter_mut().map(|(_, condition)| condition)
    }

    /// Whether this one is meant; `value` is what templates see of it.
    pub fn accept(&self, subject: &C::Subject, value: &Value) -> Result<bool, TemplateError> {
        if !self.conditions_hold(subject) {
            return Ok(false);
        }
        for filter in &self.templates {
            if !filter.holds(value)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Carries the templates out on an example, whatever comes out; they fail as with any other.
    pub fn check(&self, example: &Value) -> Result<(), TemplateError> {
        self.templates
            .iter()
            .try_for_each(|it| it.holds(example).map(drop))
    }

    fn conditions_hold(&self, subject: &C::Subject) -> bool {
        self.conditions.iter().all(|(key, condition)| {
            let alike = |(other, it): &(&str, C)| other == key && it.holds(subject);
            match *key {
                LABEL => condition.holds(subject),
                _ => self.conditions.iter().any(alike),
            }
        })
    }
}

/// The key of which all have to hold.
const LABEL: &str = "label";

fn condition<C: Condition>(text: &str) -> Result<(&'static str, C), (usize, FilterFault)> {
    let Some((key, value)) = text.split_once('=') else {
        return Err((text.len(), FilterFault::NoOperator));
    };
    if key.ends_with('!') {
        return Err((key.len() - 1, FilterFault::OnlyEqual));
    }
    let Some(known) = C::KEYS.iter().find(|known| **known == key.trim()) else {
        let key = key.trim().to_owned();
        return Err((
            0,
            FilterFault::NoKey {
                key,
                known: C::KEYS,
            },
        ));
    };
    let at = text.len() - value.len();
    match C::read(known, value) {
        Ok(condition) => Ok((known, condition)),
        Err(expected) => {
            let value = value.to_owned();
            Err((at, FilterFault::Value { value, expected }))
        }
    }
}
