//! Go's text templates, as far as showing objects needs them.
//!
//! ```text
//! text ──lex──> tokens ──parse──> tree ─┐
//!                                       run ──> text
//! object ──serde──> Value ──────────────┘
//! ```
//! A template sees a tree of values and nothing behind it. It cannot call another one, so it ends; in
//! what time, and with how much text, is bounded.

mod error;
mod functions;
mod lex;
mod names;
mod parse;
mod printf;
mod run;
mod shape;
#[cfg(test)]
mod tests;
mod tree;
mod value;

use std::str::FromStr;

pub use error::{TemplateError, TemplateFault};
pub use value::{Object as ObjectValue, Value};

use lex::{Kind, Token};
use tree::{Node, Operand, OperandKind, Pipeline};

/// The longest template, in bytes.
pub(crate) const MAX_LENGTH: usize = 64 << 10;
/// Blocks and parentheses in one another.
const MAX_DEPTH: usize = 64;
/// Steps of one run, a few of which each word takes.
const MAX_STEPS: usize = 1_000_000;
/// What one run prints, in bytes.
const MAX_OUTPUT: usize = 1 << 20;
/// The longest text a function makes, in bytes.
const MAX_TEXT: usize = 64 << 10;

/// A template that was read, and can be carried out on many values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    nodes: Vec<Node>,
}

impl Template {
    /// What it prints of a value.
    pub fn render(&self, value: &Value) -> Result<String, TemplateError> {
        run::run(&self.nodes, value).map_err(|error| in_characters(&self.text, error))
    }

    /// For the head of a table: what it would print if each field held its own name, in capitals.
    pub fn header(&self) -> String {
        let words = self.nodes.iter().map(|node| match node {
            Node::Text(text) => text.clone(),
            Node::Action(pipeline) => title(pipeline).unwrap_or_default(),
            _ => String::new(),
        });
        words.collect()
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    /// Reads a template. Outside of braces, `\t` and `\n` are what they stand for.
    fn from_str(text: &str) -> Result<Self, TemplateError> {
        if text.len() > MAX_LENGTH {
            return Err(TemplateFault::TooLong.at(1));
        }
        let parsed = lex::tokens(text).and_then(|mut tokens| {
            tokens.iter_mut().for_each(unescape);
            parse::parse(&tokens, text.len())
        });
        let nodes = parsed.map_err(|error| in_characters(text, error))?;
        let text = text.to_owned();
        Ok(Self { text, nodes })
    }
}

/// The length of the braces a text begins with, whatever quotes they hold; none if it does not begin
/// with any, or they do not end.
pub(crate) fn braces(text: &str) -> Option<usize> {
    let inside = text.strip_prefix("{{")?;
    let mut quote = None;
    let mut letters = inside.char_indices();
    while let Some((at, letter)) = letters.next() {
        match (quote, letter) {
            (Some('"'), '\\') => drop(letters.next()),
            (Some(open), letter) if open == letter => quote = None,
            (None, '"' | '`') => quote = Some(letter),
            (None, '}') if inside[at..].starts_with("}}") => return Some(at + 4),
            _ => {}
        }
    }
    None
}

fn unescape(token: &mut Token) {
    if let Kind::Text(text) = &mut token.kind
        && text.contains('\\')
    {
        *text = text.replace("\\t", "\t").replace("\\n", "\n");
    }
}

/// Positions are counted in bytes while a template is read, and in characters where people see them.
fn in_characters(text: &str, error: TemplateError) -> TemplateError {
    let before = text
        .char_indices()
        .take_while(|(at, _)| *at < error.position);
    TemplateError {
        position: before.count() + 1,
        ..error
    }
}

/// The last field a pipeline names, in words and capitals.
fn title(pipeline: &Pipeline) -> Option<String> {
    let operands = pipeline.commands.iter().rev();
    let mut operands =
        operands.flat_map(|command| command.rest.iter().rev().chain([&command.first]));
    operands.find_map(
        |operand: &Operand| match (&operand.kind, operand.path.last()) {
            (_, Some(name)) => Some(capitals(name)),
            (OperandKind::Parentheses(pipeline), None) => title(pipeline),
            _ => None,
        },
    )
}

/// `RunningFor` is `RUNNING FOR`.
fn capitals(name: &str) -> String {
    let mut title = String::new();
    let mut before = 'A';
    for letter in name.chars() {
        if letter.is_uppercase() && before.is_lowercase() {
            title.push(' ');
        }
        title.extend(letter.to_uppercase());
        before = letter;
    }
    title
}
