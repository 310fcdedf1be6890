//! What is wrong with a template, where, and what to do.

use crate::nearest;

use super::functions::Function;
use super::{MAX_DEPTH, MAX_LENGTH, MAX_OUTPUT, MAX_STEPS};

/// A template that cannot be read, or cannot be carried out on what it was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the template fails at character {position}: {fault}")]
pub struct TemplateError {
    /// Where, in characters from 1.
    pub position: usize,
    /// What.
    pub fault: TemplateFault,
}

/// One thing that can be wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateFault {
    /// Longer than any template.
    #[error("it has more than {MAX_LENGTH} bytes")]
    TooLong,
    /// Blocks or parentheses in one another.
    #[error("it is more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// It would not end soon.
    #[error("it takes more than {MAX_STEPS} steps")]
    TooManySteps,
    /// It says too much.
    #[error("it prints more than {MAX_OUTPUT} bytes")]
    TooMuch,
    /// Something begins and does not end.
    #[error("{what} does not end")]
    Unclosed {
        /// What.
        what: &'static str,
        /// How it would.
        close: &'static str,
    },
    /// Something else should be there.
    #[error("{found} where {expected} should be")]
    Unexpected {
        /// What is there.
        found: String,
        /// What should be.
        expected: &'static str,
    },
    /// A word of a block outside of any.
    #[error("{word:?} belongs to no {block}")]
    NoBlock {
        /// The word.
        word: String,
        /// Kind of the block.
        block: &'static str,
    },
    /// A function nobody knows.
    #[error("there is no function {name:?}")]
    NoFunction {
        /// The name given.
        name: String,
    },
    /// Something of Go's templates that is left out.
    #[error("{word:?} is not possible here")]
    LeftOut {
        /// The word.
        word: String,
    },
    /// A variable nobody declared.
    #[error("there is no variable {name}")]
    NoVariable {
        /// Its name, with the dollar.
        name: String,
    },
    /// A field the object does not have.
    #[error("there is no field {name:?} {place}")]
    NoField {
        /// The name given.
        name: String,
        /// Where it was looked for.
        place: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A function cannot do with what it was given.
    #[error("{function}: {message}")]
    Call {
        /// Its name.
        function: &'static str,
        /// What is wrong.
        message: String,
    },
}

impl TemplateFault {
    /// At a place.
    pub(super) fn at(self, position: usize) -> TemplateError {
        TemplateError {
            position,
            fault: self,
        }
    }
}

impl TemplateError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match &self.fault {
            TemplateFault::TooLong | TemplateFault::TooDeep => {
                "make it simpler, or take -o json".into()
            }
            TemplateFault::TooManySteps | TemplateFault::TooMuch => {
                "take a range out of the other, or -o json".into()
            }
            TemplateFault::Unclosed { close, .. } => format!("end it with {close}"),
            TemplateFault::Unexpected { .. } => {
                "write a field of what is shown between braces, such as {{.ObjectMeta.Name}}".into()
            }
            TemplateFault::NoFunction { name } => match nearest(name, Function::names()) {
                Some(near) => format!("did you mean {near}? A field begins with a dot: .{name}"),
                None => format!("a field begins with a dot: .{name}"),
            },
            TemplateFault::LeftOut { .. } => {
                "templates cannot call one another; write it out".into()
            }
            TemplateFault::NoVariable { name } => {
                format!("declare it first: {{{{{name} := .ObjectMeta.Name}}}}")
            }
            TemplateFault::NoField { name, known, .. } => fields(name, known),
            TemplateFault::NoBlock { .. } => {
                "begin with {{if .Status.Running}}, {{with .Labels}} or {{range .Status.Network.IPAddresses}}".into()
            }
            TemplateFault::Call { .. } => {
                "docs/templates.md says what each function takes".into()
            }
        })
    }
}

fn fields(name: &str, known: &[String]) -> String {
    match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean .{near}?"),
        None if known.is_empty() => "only objects and maps have fields".into(),
        None => format!("there are: {}", known.join(", ")),
    }
}
