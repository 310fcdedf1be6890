//! A template that was read.

use super::functions::Function;
use super::value::Value;

/// One piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// Printed as it is.
    Text(String),
    /// Printed, or kept where it declares.
    Action(Pipeline),
    /// The first arm whose value is true, else the rest.
    If(Vec<(Pipeline, Vec<Node>)>, Vec<Node>),
    /// The same with the dot at that value.
    With(Vec<(Pipeline, Vec<Node>)>, Vec<Node>),
    /// Once for each, else the rest.
    Range(Pipeline, Vec<Node>, Vec<Node>),
    /// Ends the range it is in.
    Break,
    /// Goes on with the next.
    Continue,
}

/// Commands, each with the value of the one before it as its last word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pipeline {
    /// Variables that are set, and whether they are new.
    pub variables: Vec<String>,
    pub is_new: bool,
    pub commands: Vec<Command>,
    pub at: usize,
}

/// Words: a value, or a function and what it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    pub first: Operand,
    pub rest: Vec<Operand>,
}

/// One word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Operand {
    pub kind: OperandKind,
    /// Fields of it.
    pub path: Vec<String>,
    pub at: usize,
}

/// What a word is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OperandKind {
    /// `.`
    Dot,
    /// `$x`
    Variable(String),
    /// `"text"`, `3`, `true`
    Literal(Value),
    /// `len`
    Function(Function),
    /// `(...)`
    Parentheses(Box<Pipeline>),
}
