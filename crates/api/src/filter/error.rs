//! What is wrong with a filter, where, and what to do.

use crate::nearest;
use crate::template::{MAX_LENGTH, TemplateError};

/// A filter that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the filter {text:?} fails at character {position}: {fault}")]
pub struct FilterError {
    /// The filter, as far as it fits into a line.
    pub text: String,
    /// Where, in characters from 1.
    pub position: usize,
    /// What.
    pub fault: FilterFault,
}

/// One thing that can be wrong with a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterFault {
    /// Longer than any filter.
    #[error("it has more than {MAX_LENGTH} bytes")]
    TooLong,
    /// There is nothing between key and value.
    #[error("there is no operator")]
    NoOperator,
    /// A condition that is none of equality.
    #[error("a condition has no operator but =")]
    OnlyEqual,
    /// The braces do not end.
    #[error("the braces do not end")]
    Unclosed,
    /// Something else than braces after a comma.
    #[error("no template begins here")]
    NoTemplate,
    /// The template between the braces is none.
    #[error("{0}")]
    Template(TemplateError),
    /// A key nobody knows.
    #[error("there is no filter {key:?}")]
    NoKey {
        /// The key given.
        key: String,
        /// The keys there are.
        known: &'static [&'static str],
    },
    /// A value its key does not take.
    #[error("{value:?} is not what this filter takes")]
    Value {
        /// The value given.
        value: String,
        /// What is taken.
        expected: &'static str,
    },
}

/// Longer filters are shown in part.
const SHOWN: usize = 80;

impl FilterError {
    /// A fault at a place in bytes.
    pub(super) fn new(text: &str, at: usize, fault: FilterFault) -> Self {
        let before = text.char_indices().take_while(|(index, _)| *index < at);
        let position = before.count() + 1;
        let mut shown: String = text.chars().take(SHOWN).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        Self {
            text: shown,
            position,
            fault,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match &self.fault {
            FilterFault::TooLong => "take a shorter value".into(),
            FilterFault::NoOperator => {
                "write {{.ObjectMeta.Name}}=web with one of = == != =~ !~, or key=value such as name=web".into()
            }
            FilterFault::OnlyEqual => "take a template: {{.Status.State}}!=running".into(),
            FilterFault::Unclosed => "end them with }}".into(),
            FilterFault::NoTemplate => {
                "after a comma there is another template in braces; give --filter again for key=value".into()
            }
            FilterFault::Template(error) => return error.hint(),
            FilterFault::NoKey { key, known } => match nearest(key, known.iter().copied()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!(
                    "there are: {}; anything else by its field: {{{{.Spec.CPUs}}}}=2",
                    known.join(", ")
                ),
            },
            FilterFault::Value { expected, .. } => format!("give {expected}"),
        })
    }
}
