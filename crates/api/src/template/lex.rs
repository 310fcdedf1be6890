//! A template's text as tokens.

use std::iter::Peekable;
use std::str::CharIndices;

use super::error::{TemplateError, TemplateFault};

/// One token and where it begins, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: Kind,
    pub at: usize,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text outside of braces.
    Text(String),
    /// `{{`
    Open,
    /// `}}`
    Close,
    /// A word: a function, a keyword.
    Word(String),
    /// `.A.B`; `.` alone is without names.
    Field(Vec<String>),
    /// `$x.A.B`
    Variable(String, Vec<String>),
    /// Text in quotes.
    Quoted(String),
    /// A whole number.
    Number(i128),
    /// `|`
    Pipe,
    /// `:=`
    Declare,
    /// `=`
    Assign,
    /// `,`
    Comma,
    /// `(`
    OpenParenthesis,
    /// `)`, and the fields after it.
    CloseParenthesis(Vec<String>),
}

impl Kind {
    /// As a message names it.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Text(_) => "text".into(),
            Self::Open => "{{".into(),
            Self::Close => "}}".into(),
            Self::Word(word) => format!("{word:?}"),
            Self::Field(path) => format!(".{}", path.join(".")),
            Self::Variable(name, _) => name.clone(),
            Self::Quoted(text) => format!("{text:?}"),
            Self::Number(number) => number.to_string(),
            Self::Pipe => "|".into(),
            Self::Declare => ":=".into(),
            Self::Assign => "=".into(),
            Self::Comma => ",".into(),
            Self::OpenParenthesis => "(".into(),
            Self::CloseParenthesis(_) => ")".into(),
        }
    }
}

/// Reads a whole template.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, TemplateError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    let mut trim = false;
    while at < text.len() {
        let begin = text[at..].find("{{").map_or(text.len(), |open| at + open);
        let outside = &text[at..begin];
        let after = text[begin..].strip_prefix("{{").unwrap_or_default();
        let trims = trims_before(after);
        let outside = if trim { outside.trim_start() } else { outside };
        let outside = if trims { outside.trim_end() } else { outside };
        push_text(&mut tokens, outside, at);
        if begin == text.len() {
            break;
        }
        let inside = begin + 2 + if trims { 1 } else { 0 };
        (at, trim) = match comment(text, begin, inside)? {
            Some(end) => end,
            None => action(text, begin, inside, &mut tokens)?,
        };
    }
    Ok(tokens)
}

/// Whether `{{` is followed by the sign that takes the blanks before it away.
fn trims_before(after: &str) -> bool {
    after.starts_with('-') && after[1..].starts_with(char::is_whitespace)
}

fn push_text(tokens: &mut Vec<Token>, text: &str, at: usize) {
    if !text.is_empty() {
        let kind = Kind::Text(text.to_owned());
        tokens.push(Token { kind, at });
    }
}

/// Where a comment ends, if this is one, and whether the blanks after it go.
fn comment(
    text: &str,
    begin: usize,
    inside: usize,
) -> Result<Option<(usize, bool)>, TemplateError> {
    let body = text[inside..].trim_start();
    let Some(body) = body.strip_prefix("/*") else {
        return Ok(None);
    };
    let unclosed = || TemplateFault::Unclosed {
        what: "a comment",
        close: "*/}}",
    };
    let end = body.find("*/").ok_or_else(|| unclosed().at(begin))?;
    let rest = &body[end + 2..];
    let close = rest.find("}}").ok_or_else(|| unclosed().at(begin))?;
    match rest[..close].trim() {
        sign @ ("" | "-") => {
            let after = text.len() - rest.len() + close + 2;
            Ok(Some((after, sign == "-")))
        }
        _ => Err(unclosed().at(begin)),
    }
}

/// Reads what is between braces; where it ends, and whether the blanks after it go.
fn action(
    text: &str,
    begin: usize,
    inside: usize,
    tokens: &mut Vec<Token>,
) -> Result<(usize, bool), TemplateError> {
    tokens.push(Token {
        kind: Kind::Open,
        at: begin,
    });
    let mut at = inside;
    loop {
        let rest = &text[at..];
        let blank = rest.len() - rest.trim_start().len();
        let here = at + blank;
        let rest = &text[here..];
        let trims = blank > 0 && rest.starts_with("-}}");
        if trims || rest.starts_with("}}") {
            let kind = Kind::Close;
            tokens.push(Token { kind, at: here });
            return Ok((here + if trims { 3 } else { 2 }, trims));
        }
        if rest.is_empty() {
            let (what, close) = ("what begins with {{", "}}");
            return Err(TemplateFault::Unclosed { what, close }.at(begin));
        }
        let (kind, length) = token(rest).map_err(|fault| fault.at(here))?;
        tokens.push(Token { kind, at: here });
        at = here + length;
    }
}

/// The token a text begins with, and its length.
fn token(text: &str) -> Result<(Kind, usize), TemplateFault> {
    let first = text.chars().next().unwrap_or_default();
    let rest = &text[first.len_utf8()..];
    Ok(match first {
        '|' => (Kind::Pipe, 1),
        ',' => (Kind::Comma, 1),
        '(' => (Kind::OpenParenthesis, 1),
        ')' => {
            let (path, length) = path(rest);
            (Kind::CloseParenthesis(path), 1 + length)
        }
        ':' if rest.starts_with('=') => (Kind::Declare, 2),
        '=' => (Kind::Assign, 1),
        '.' => {
            let (path, length) = path(text);
            (Kind::Field(path), length.max(1))
        }
        '$' => {
            let name = word(rest);
            let (path, length) = path(&rest[name.len()..]);
            let length = 1 + name.len() + length;
            (Kind::Variable(format!("${name}"), path), length)
        }
        '"' => quoted(text)?,
        '`' => raw(text)?,
        '0'..='9' | '+' | '-' => number(text)?,
        _ if is_word(first) => {
            let word = word(text);
            (Kind::Word(word.to_owned()), word.len())
        }
        other => return Err(unexpected(other)),
    })
}

fn unexpected(found: char) -> TemplateFault {
    TemplateFault::Unexpected {
        found: format!("{found:?}"),
        expected: "a field, a function or a value",
    }
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

fn word(text: &str) -> &str {
    let end = text.find(|letter| !is_word(letter)).unwrap_or(text.len());
    &text[..end]
}

/// `.A.B`: the names, and the length of all.
fn path(text: &str) -> (Vec<String>, usize) {
    let (mut names, mut length) = (Vec::new(), 0);
    while let Some(rest) = text[length..].strip_prefix('.') {
        let name = word(rest);
        if name.is_empty() {
            break;
        }
        names.push(name.to_owned());
        length += 1 + name.len();
    }
    (names, length)
}

fn number(text: &str) -> Result<(Kind, usize), TemplateFault> {
    let sign = usize::from(text.starts_with(['+', '-']));
    let digits = word(&text[sign..]);
    let length = sign + digits.len();
    let number = text[..length]
        .parse::<i64>()
        .map_err(|_| TemplateFault::Unexpected {
            found: format!("{:?}", text[..length].chars().take(20).collect::<String>()),
            expected: "a whole number",
        })?;
    Ok((Kind::Number(number.into()), length))
}

fn raw(text: &str) -> Result<(Kind, usize), TemplateFault> {
    let unclosed = || TemplateFault::Unclosed {
        what: "a text",
        close: "`",
    };
    let end = text[1..].find('`').ok_or_else(unclosed)?;
    Ok((Kind::Quoted(text[1..=end].to_owned()), end + 2))
}

fn quoted(text: &str) -> Result<(Kind, usize), TemplateFault> {
    let mut value = String::new();
    let mut letters = text.char_indices().peekable();
    letters.next();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok((Kind::Quoted(value), at + 1)),
            '\\' => value.push(escape(&mut letters)?),
            letter => value.push(letter),
        }
    }
    Err(TemplateFault::Unclosed {
        what: "a text",
        close: "\"",
    })
}

fn escape(letters: &mut Peekable<CharIndices<'_>>) -> Result<char, TemplateFault> {
    match letters.next() {
        Some((_, 'n')) => Ok('\n'),
        Some((_, 't')) => Ok('\t'),
        Some((_, 'r')) => Ok('\r'),
        Some((_, letter @ ('"' | '\\' | '\''))) => Ok(letter),
        other => Err(TemplateFault::Unexpected {
            found: format!(
                "\\{}",
                other.map(|(_, it)| it.to_string()).unwrap_or_default()
            ),
            expected: r#"one of \n, \t, \r, \" and \\"#,
        }),
    }
}
