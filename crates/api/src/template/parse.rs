//! Tokens as a tree; what is wrong with a template whatever it is given is found here.

use super::MAX_DEPTH;
use super::error::{TemplateError, TemplateFault};
use super::functions::Function;
use super::lex::{Kind, Token};
use super::tree::{Command, Node, Operand, OperandKind, Pipeline};
use super::value::Value;

type Parsed<T> = Result<T, TemplateError>;

/// Reads a whole template.
pub(super) fn parse(tokens: &[Token], length: usize) -> Parsed<Vec<Node>> {
    let mut parser = Parser {
        tokens,
        next: 0,
        length,
        variables: vec!["$".to_owned()],
        depth: 0,
        ranges: 0,
    };
    let (nodes, end) = parser.block()?;
    match end {
        Stop::All => Ok(nodes),
        Stop::End(at) => Err(no_block("end", "block").at(at)),
        Stop::Else(at) => Err(no_block("else", "block").at(at)),
    }
}

fn unexpected(found: impl Into<String>, expected: &'static str) -> TemplateFault {
    TemplateFault::Unexpected {
        found: found.into(),
        expected,
    }
}

fn no_block(word: &str, block: &'static str) -> TemplateFault {
    let word = word.to_owned();
    TemplateFault::NoBlock { word, block }
}

/// How a block ends, and where.
enum Stop {
    All,
    End(usize),
    Else(usize),
}

struct Parser<'t> {
    tokens: &'t [Token],
    next: usize,
    length: usize,
    variables: Vec<String>,
    depth: usize,
    ranges: usize,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<&'t Kind> {
        self.tokens.get(self.next).map(|token| &token.kind)
    }

    /// Where the next token begins.
    fn at(&self) -> usize {
        self.tokens
            .get(self.next)
            .map_or(self.length, |token| token.at)
    }

    fn take(&mut self) -> Option<&'t Kind> {
        let kind = self.peek();
        self.next += 1;
        kind
    }

    fn expect(&mut self, kind: &Kind, expected: &'static str) -> Parsed<()> {
        let at = self.at();
        match self.take() {
            Some(found) if found == kind => Ok(()),
            found => Err(unexpected(describe(found), expected).at(at)),
        }
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == MAX_DEPTH {
            return Err(TemplateFault::TooDeep.at(self.at()));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Nodes up to what ends them.
    fn block(&mut self) -> Parsed<(Vec<Node>, Stop)> {
        let mut nodes = Vec::new();
        loop {
            let at = self.at();
            match self.take() {
                None => return Ok((nodes, Stop::All)),
                Some(Kind::Text(text)) => nodes.push(Node::Text(text.clone())),
                // Nothing but text and braces is outside of braces.
                Some(_) => match self.braces(at)? {
                    Braces::Node(node) => nodes.push(node),
                    Braces::End(end) => return Ok((nodes, end)),
                },
            }
        }
    }

    /// What follows `{{`.
    fn braces(&mut self, at: usize) -> Parsed<Braces> {
        let Some(Kind::Word(word)) = self.peek() else {
            return self.action();
        };
        let word = word.as_str();
        match word {
            "if" | "with" | "range" => {
                self.next += 1;
                self.deeper(|it| it.control(word, at)).map(Braces::Node)
            }
            "end" => {
                self.next += 1;
                self.close()?;
                Ok(Braces::End(Stop::End(at)))
            }
            // What follows it is read by whom it belongs to.
            "else" => {
                self.next += 1;
                Ok(Braces::End(Stop::Else(at)))
            }
            "break" | "continue" => self.jump(word, at),
            "define" | "template" | "block" => {
                let word = word.to_owned();
                Err(TemplateFault::LeftOut { word }.at(at))
            }
            _ => self.action(),
        }
    }

    fn action(&mut self) -> Parsed<Braces> {
        if self.peek() == Some(&Kind::Close) {
            return Err(unexpected("nothing", "a field, a function or a value").at(self.at()));
        }
        let pipeline = self.pipeline()?;
        self.close()?;
        Ok(Braces::Node(Node::Action(pipeline)))
    }

    fn jump(&mut self, word: &str, at: usize) -> Parsed<Braces> {
        self.next += 1;
        self.close()?;
        match (self.ranges, word) {
            (0, _) => Err(no_block(word, "range").at(at)),
            (_, "break") => Ok(Braces::Node(Node::Break)),
            _ => Ok(Braces::Node(Node::Continue)),
        }
    }

    fn close(&mut self) -> Parsed<()> {
        self.expect(&Kind::Close, "}}")
    }

    /// `if`, `with` or `range` after its word.
    fn control(&mut self, word: &str, at: usize) -> Parsed<Node> {
        let visible = self.variables.len();
        let node = match word {
            "range" => self.range(at),
            _ => {
                let (mut arms, mut other) = (Vec::new(), Vec::new());
                self.arms(word, at, &mut arms, &mut other)?;
                Ok(match word {
                    "if" => Node::If(arms, other),
                    _ => Node::With(arms, other),
                })
            }
        };
        self.variables.truncate(visible);
        node
    }

    /// Arm after arm, `{{else if ...}}` between them, and the last `{{else}}`.
    fn arms(
        &mut self,
        word: &str,
        at: usize,
        arms: &mut Vec<(Pipeline, Vec<Node>)>,
        other: &mut Vec<Node>,
    ) -> Parsed<()> {
        loop {
            let pipeline = self.pipeline()?;
            self.close()?;
            let (body, is_last) = self.scoped(at)?;
            arms.push((pipeline, body));
            if is_last {
                return Ok(());
            }
            if self.peek() == Some(&Kind::Word(word.to_owned())) {
                self.next += 1;
                continue;
            }
            self.close()?;
            *other = self.last(at)?;
            return Ok(());
        }
    }

    fn range(&mut self, at: usize) -> Parsed<Node> {
        let pipeline = self.pipeline()?;
        self.close()?;
        self.ranges += 1;
        let body = self.scoped(at);
        self.ranges -= 1;
        let (body, is_last) = body?;
        let mut other = Vec::new();
        if !is_last {
            self.close()?;
            other = self.last(at)?;
        }
        Ok(Node::Range(pipeline, body, other))
    }

    /// A block with variables of its own, and whether it ended with `end` rather than with `else`.
    fn scoped(&mut self, began: usize) -> Parsed<(Vec<Node>, bool)> {
        let visible = self.variables.len();
        let (nodes, end) = self.block()?;
        self.variables.truncate(visible);
        match end {
            Stop::End(_) => Ok((nodes, true)),
            Stop::Else(_) => Ok((nodes, false)),
            Stop::All => {
                let (what, close) = ("the block", "{{end}}");
                Err(TemplateFault::Unclosed { what, close }.at(began))
            }
        }
    }

    /// The block after the last `{{else}}`.
    fn last(&mut self, began: usize) -> Parsed<Vec<Node>> {
        let at = self.at();
        match self.scoped(began)? {
            (nodes, true) => Ok(nodes),
            (_, false) => Err(unexpected("a second else", "end").at(at)),
        }
    }

    fn pipeline(&mut self) -> Parsed<Pipeline> {
        self.deeper(Self::whole_pipeline)
    }

    fn whole_pipeline(&mut self) -> Parsed<Pipeline> {
        let at = self.at();
        let (variables, is_new) = self.declaration()?;
        let mut commands = vec![self.command()?];
        while self.peek() == Some(&Kind::Pipe) {
            self.next += 1;
            let at = self.at();
            let command = self.command()?;
            if !matches!(command.first.kind, OperandKind::Function(_)) {
                return Err(unexpected("a value", "a function").at(at));
            }
            commands.push(command);
        }
        if is_new {
            // Its own value does not see it yet.
            self.variables.extend(variables.iter().cloned());
        }
        Ok(Pipeline {
            variables,
            is_new,
            commands,
            at,
        })
    }

    /// `$x :=`, `$x =`, `$i, $x :=`; of none, nothing is taken.
    fn declaration(&mut self) -> Parsed<(Vec<String>, bool)> {
        let kind = |ahead: usize| self.tokens.get(self.next + ahead).map(|token| &token.kind);
        let name = |ahead: usize| match kind(ahead) {
            Some(Kind::Variable(name, path)) if path.is_empty() => Some(name.clone()),
            _ => None,
        };
        let Some(first) = name(0) else {
            return Ok((Vec::new(), false));
        };
        let (names, operator) = match (kind(1), name(2)) {
            (Some(Kind::Comma), Some(second)) => (vec![first, second], 3),
            _ => (vec![first], 1),
        };
        let is_new = match kind(operator) {
            Some(Kind::Declare) => true,
            Some(Kind::Assign) => false,
            _ => return Ok((Vec::new(), false)),
        };
        if !is_new {
            names.iter().try_for_each(|name| self.check(name))?;
        }
        self.next += operator + 1;
        Ok((names, is_new))
    }

    /// Fails if nobody declared the variable.
    fn check(&self, name: &str) -> Parsed<()> {
        if self.variables.iter().any(|it| it == name) {
            return Ok(());
        }
        let name = name.to_owned();
        Err(TemplateFault::NoVariable { name }.at(self.at()))
    }

    fn command(&mut self) -> Parsed<Command> {
        let first = self.operand()?;
        let mut rest = Vec::new();
        while !matches!(
            self.peek(),
            None | Some(Kind::Close | Kind::Pipe | Kind::CloseParenthesis(_))
        ) {
            rest.push(self.operand()?);
        }
        let takes = matches!(first.kind, OperandKind::Function(_)) || is_label(&first);
        match rest.first() {
            Some(argument) if !takes => {
                let expected = "}} (what is before it is no function)";
                Err(unexpected("a value", expected).at(argument.at))
            }
            _ => Ok(Command { first, rest }),
        }
    }

    fn operand(&mut self) -> Parsed<Operand> {
        let at = self.at();
        let token = self.peek();
        let (kind, path) = match token {
            Some(Kind::Field(path)) => (OperandKind::Dot, path.clone()),
            Some(Kind::Variable(name, path)) => {
                self.check(name)?;
                (OperandKind::Variable(name.clone()), path.clone())
            }
            Some(Kind::Quoted(text)) => literal(Value::Text(text.clone())),
            Some(Kind::Number(number)) => literal(Value::Number(*number)),
            Some(Kind::Word(word)) => word_operand(word).map_err(|fault| fault.at(at))?,
            Some(Kind::OpenParenthesis) => return self.parentheses(at),
            other => {
                let found = describe(other);
                return Err(unexpected(found, "a field, a function or a value").at(at));
            }
        };
        self.next += 1;
        Ok(Operand { kind, path, at })
    }

    fn parentheses(&mut self, at: usize) -> Parsed<Operand> {
        self.next += 1;
        let pipeline = self.pipeline()?;
        let end = self.at();
        match self.take() {
            Some(Kind::CloseParenthesis(path)) => Ok(Operand {
                kind: OperandKind::Parentheses(Box::new(pipeline)),
                path: path.clone(),
                at,
            }),
            other => Err(unexpected(describe(other), ")").at(end)),
        }
    }
}

/// What braces hold.
enum Braces {
    Node(Node),
    End(Stop),
}

fn describe(kind: Option<&Kind>) -> String {
    kind.map_or_else(|| "the end".into(), Kind::describe)
}

fn literal(value: Value) -> (OperandKind, Vec<String>) {
    (OperandKind::Literal(value), Vec::new())
}

fn word_operand(word: &str) -> Result<(OperandKind, Vec<String>), TemplateFault> {
    Ok(match word {
        "true" => literal(Value::Bool(true)),
        "false" => literal(Value::Bool(false)),
        "nil" => literal(Value::Nil),
        _ => {
            let name = word.to_owned();
            let function = Function::named(word).ok_or(TemplateFault::NoFunction { name })?;
            (OperandKind::Function(function), Vec::new())
        }
    })
}

/// Docker's `.Label "key"`, the only field that takes a word.
fn is_label(operand: &Operand) -> bool {
    operand.path.last().is_some_and(|name| name == "Label")
}
