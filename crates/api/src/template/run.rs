//! A template carried out on a value, in bounded time and space.

use std::borrow::Cow;
use std::fmt::{self, Write};

use super::error::{TemplateError, TemplateFault};
use super::functions::{Function, index};
use super::tree::{Command, Node, Operand, OperandKind, Pipeline};
use super::value::Value;
use super::{MAX_OUTPUT, MAX_STEPS};

type Ran<T> = Result<T, TemplateError>;

/// A value of the root, or one that was made on the way.
type It<'v> = Cow<'v, Value>;

/// So many bytes are looked at, or printed, in a step.
const BYTES_PER_STEP: usize = 32;

/// What a node tells the range it is in.
#[derive(PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

/// What a template prints of a value.
pub(super) fn run(nodes: &[Node], root: &Value) -> Ran<String> {
    let mut run = Run {
        variables: vec![("$", Cow::Borrowed(root))],
        out: String::new(),
        steps: 0,
    };
    run.nodes(nodes, &Cow::Borrowed(root))?;
    Ok(run.out)
}

struct Run<'v, 't> {
    variables: Vec<(&'t str, It<'v>)>,
    out: String,
    steps: usize,
}

impl<'v, 't> Run<'v, 't> {
    fn spend(&mut self, bytes: usize, at: usize) -> Ran<()> {
        self.steps = self.steps.saturating_add(1 + bytes / BYTES_PER_STEP);
        if self.steps > MAX_STEPS {
            return Err(TemplateFault::TooManySteps.at(at));
        }
        Ok(())
    }

    /// Prints something.
    fn print(&mut self, what: impl fmt::Display, at: usize) -> Ran<()> {
        let before = self.out.len();
        let room = MAX_OUTPUT - before;
        let result = write!(Bounded(&mut self.out, room), "{what}");
        result.map_err(|_| TemplateFault::TooMuch.at(at))?;
        self.spend(self.out.len() - before, at)
    }

    fn nodes(&mut self, nodes: &'t [Node], dot: &It<'v>) -> Ran<Flow> {
        for node in nodes {
            let flow = self.node(node, dot)?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn node(&mut self, node: &'t Node, dot: &It<'v>) -> Ran<Flow> {
        let visible = self.variables.len();
        match node {
            Node::Text(text) => self.print(text, 0)?,
            Node::Action(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    self.print(value, pipeline.at)?;
                }
                // What it declared stays until the block ends.
                return Ok(Flow::Next);
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
            Node::If(arms, other) => {
                let flow = self.arms(arms, other, dot, false);
                self.variables.truncate(visible);
                return flow;
            }
            Node::With(arms, other) => {
                let flow = self.arms(arms, other, dot, true);
                self.variables.truncate(visible);
                return flow;
            }
            Node::Range(pipeline, body, other) => {
                let flow = self.range(pipeline, body, other, dot);
                self.variables.truncate(visible);
                return flow;
            }
        }
        Ok(Flow::Next)
    }

    /// A block whose variables end with it.
    fn block(&mut self, nodes: &'t [Node], dot: &It<'v>) -> Ran<Flow> {
        let visible = self.variables.len();
        let flow = self.nodes(nodes, dot)?;
        self.variables.truncate(visible);
        Ok(flow)
    }

    fn arms(
        &mut self,
        arms: &'t [(Pipeline, Vec<Node>)],
        other: &'t [Node],
        dot: &It<'v>,
        moves_dot: bool,
    ) -> Ran<Flow> {
        for (pipeline, body) in arms {
            let value = self.pipeline(pipeline, dot)?;
            if value.is_true() {
                return self.block(body, if moves_dot { &value } else { dot });
            }
        }
        self.block(other, dot)
    }

    fn range(
        &mut self,
        pipeline: &'t Pipeline,
        body: &'t [Node],
        other: &'t [Node],
        dot: &It<'v>,
    ) -> Ran<Flow> {
        // The variables are set for each, not to the whole.
        let value = self.commands(pipeline, dot)?;
        let items = items(value).map_err(|fault| fault.at(pipeline.at))?;
        self.spend(items.len(), pipeline.at)?;
        if items.is_empty() {
            return self.block(other, dot);
        }
        for (key, item) in items {
            self.spend(0, pipeline.at)?;
            let visible = self.variables.len();
            let values = match pipeline.variables.len() {
                1 => vec![item.clone()],
                _ => vec![Cow::Owned(key), item.clone()],
            };
            for (name, value) in pipeline.variables.iter().zip(values) {
                self.set(name, value, pipeline.is_new);
            }
            let flow = self.nodes(body, &item)?;
            self.variables.truncate(visible);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::Next)
    }

    fn set(&mut self, name: &'t str, value: It<'v>, is_new: bool) {
        let known = self.variables.iter_mut().rev().find(|(it, _)| *it == name);
        match known {
            Some((_, old)) if !is_new => *old = value,
            _ => self.variables.push((name, value)),
        }
    }

    fn pipeline(&mut self, pipeline: &'t Pipeline, dot: &It<'v>) -> Ran<It<'v>> {
        let value = self.commands(pipeline, dot)?;
        if let [name] = pipeline.variables.as_slice() {
            self.set(name, value.clone(), pipeline.is_new);
        } else if !pipeline.variables.is_empty() {
            let fault = TemplateFault::Unexpected {
                found: "a second variable".into(),
                expected: "a range",
            };
            return Err(fault.at(pipeline.at));
        }
        Ok(value)
    }

    fn commands(&mut self, pipeline: &'t Pipeline, dot: &It<'v>) -> Ran<It<'v>> {
        let mut value = None;
        for command in &pipeline.commands {
            value = Some(self.command(command, value, dot)?);
        }
        Ok(value.unwrap_or(Cow::Owned(Value::Nil)))
    }

    fn command(
        &mut self,
        command: &'t Command,
        piped: Option<It<'v>>,
        dot: &It<'v>,
    ) -> Ran<It<'v>> {
        let first = &command.first;
        let mut words = Vec::with_capacity(command.rest.len() + 1);
        // What comes behind the word that decides is not looked at.
        let decides = match first.kind {
            OperandKind::Function(Function::And) => Some(false),
            OperandKind::Function(Function::Or) => Some(true),
            _ => None,
        };
        let mut decided = false;
        for word in command.rest.iter() {
            words.push(self.operand(word, dot)?);
            decided = words.last().map(|word| word.is_true()) == decides;
            if decided && decides.is_some() {
                break;
            }
        }
        if !decided {
            words.extend(piped);
        }
        match &first.kind {
            OperandKind::Function(function) => self.call(*function, &words, first.at),
            _ if words.is_empty() => self.operand(first, dot),
            // Docker's `.Label "key"`.
            _ => {
                let map = self.operand(first, dot)?;
                self.spend(map.weight(), first.at)?;
                let found = words
                    .iter()
                    .try_fold(map.into_owned(), |it, key| index(&it, key));
                found.map(Cow::Owned).map_err(|message| {
                    let function = "Label";
                    TemplateFault::Call { function, message }.at(first.at)
                })
            }
        }
    }

    fn call(&mut self, function: Function, words: &[It<'v>], at: usize) -> Ran<It<'v>> {
        let weight: usize = words.iter().map(|word| word.weight()).sum();
        self.spend(weight, at)?;
        let words: Vec<&Value> = words.iter().map(AsRef::as_ref).collect();
        let value = function.call(&words).map_err(|message| {
            let function = function.name();
            TemplateFault::Call { function, message }.at(at)
        })?;
        self.spend(value.weight(), at)?;
        Ok(Cow::Owned(value))
    }

    fn operand(&mut self, operand: &'t Operand, dot: &It<'v>) -> Ran<It<'v>> {
        self.spend(0, operand.at)?;
        let value = match &operand.kind {
            OperandKind::Dot => self.copied(dot, operand.at)?,
            OperandKind::Variable(name) => {
                let known = self.variables.iter().rev().find(|(it, _)| it == name);
                let value = known.map_or(Cow::Owned(Value::Nil), |(_, value)| value.clone());
                self.copied(&value, operand.at)?
            }
            OperandKind::Literal(value) => {
                self.spend(value.weight(), operand.at)?;
                Cow::Owned(value.clone())
            }
            OperandKind::Function(function) => self.call(*function, &[], operand.at)?,
            OperandKind::Parentheses(pipeline) => self.pipeline(pipeline, dot)?,
        };
        walk(value, &operand.path).map_err(|fault| fault.at(operand.at))
    }

    /// The same value once more, which costs where it is none of the root's.
    fn copied(&mut self, value: &It<'v>, at: usize) -> Ran<It<'v>> {
        if let Cow::Owned(value) = value {
            self.spend(value.weight(), at)?;
        }
        Ok(value.clone())
    }
}

/// What a range goes over, each with its number or key.
fn items(value: It<'_>) -> Result<Vec<(Value, It<'_>)>, TemplateFault> {
    let key = |index: usize| Value::Number(index as i128);
    Ok(match value {
        Cow::Borrowed(Value::List(list)) => {
            let items = list.iter().enumerate();
            items
                .map(|(index, it)| (key(index), Cow::Borrowed(it)))
                .collect()
        }
        Cow::Borrowed(Value::Map(map)) => {
            let items = map.iter();
            items
                .map(|(key, it)| (Value::text(key), Cow::Borrowed(it)))
                .collect()
        }
        Cow::Owned(Value::List(list)) => {
            let items = list.into_iter().enumerate();
            items
                .map(|(index, it)| (key(index), Cow::Owned(it)))
                .collect()
        }
        Cow::Owned(Value::Map(map)) => {
            let items = map.into_iter();
            items
                .map(|(key, it)| (Value::Text(key), Cow::Owned(it)))
                .collect()
        }
        Cow::Borrowed(Value::Nil | Value::Missing) | Cow::Owned(Value::Nil | Value::Missing) => {
            Vec::new()
        }
        other => {
            return Err(TemplateFault::Call {
                function: "range",
                message: format!("{} is neither list nor map", other.kind()),
            });
        }
    })
}

/// The fields of a path, one in the other.
fn walk<'v>(mut value: It<'v>, path: &[String]) -> Result<It<'v>, TemplateFault> {
    for (index, name) in path.iter().enumerate() {
        let next = match &value {
            Cow::Borrowed(value) => value.get(name).map(Cow::Borrowed),
            Cow::Owned(value) => value.get(name).cloned().map(Cow::Owned),
        };
        value = next.ok_or_else(|| no_field(&value, name, &path[..index]))?;
    }
    Ok(value)
}

fn no_field(value: &Value, name: &str, path: &[String]) -> TemplateFault {
    TemplateFault::NoField {
        name: name.to_owned(),
        place: match path {
            [] => "here".to_owned(),
            path => format!("in .{}", path.join(".")),
        },
        known: value.names().into_iter().map(str::to_owned).collect(),
    }
}

/// Text that takes so many bytes more.
struct Bounded<'a>(&'a mut String, usize);

impl fmt::Write for Bounded<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.1 = self.1.checked_sub(text.len()).ok_or(fmt::Error)?;
        self.0.push_str(text);
        Ok(())
    }
}
