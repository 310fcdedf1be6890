//! `printf`: Go's verbs `%s`, `%v`, `%d`, `%q`, `%t` and `%x`, with a width.

use super::value::Value;

/// The widest field.
const MAX_WIDTH: usize = 1000;

/// How one value is printed.
#[derive(Default)]
struct Verb {
    left: bool,
    zeros: bool,
    width: usize,
    /// How much of a text is printed at most.
    precision: Option<usize>,
}

/// Puts the values into the places of the text.
pub(super) fn printf(text: &str, values: &[&Value]) -> Result<String, String> {
    let (mut out, mut rest) = (String::new(), text);
    let mut values = values.iter();
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let (verb, letter, after) = verb(rest)?;
        let value = values.next().ok_or("there are more places than values")?;
        verb.push(&mut out, &one(letter, value)?);
        rest = after;
    }
    out.push_str(rest);
    match values.next() {
        Some(_) => Err("there are more values than places".into()),
        None => Ok(out),
    }
}

/// What follows a `%`: flags, width, precision and letter; and the rest of the text.
fn verb(text: &str) -> Result<(Verb, char, &str), String> {
    let flags = text.trim_start_matches(['-', '0', '+', ' ']);
    let said = &text[..text.len() - flags.len()];
    let (width, rest) = digits(flags)?;
    let (precision, rest) = match rest.strip_prefix('.') {
        Some(rest) => {
            let (precision, rest) = digits(rest)?;
            (Some(precision), rest)
        }
        None => (None, rest),
    };
    let letter = rest.chars().next().ok_or("it ends in a %")?;
    let verb = Verb {
        left: said.contains('-'),
        zeros: said.contains('0'),
        width,
        precision,
    };
    Ok((verb, letter, &rest[letter.len_utf8()..]))
}

fn digits(text: &str) -> Result<(usize, &str), String> {
    let rest = text.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let number = &text[..text.len() - rest.len()];
    match number {
        "" => Ok((0, rest)),
        _ => number
            .parse()
            .ok()
            .filter(|width| *width <= MAX_WIDTH)
            .map(|width| (width, rest))
            .ok_or_else(|| format!("no field is wider than {MAX_WIDTH}")),
    }
}

fn one(letter: char, value: &Value) -> Result<String, String> {
    let number = || match value {
        Value::Number(number) => Ok(*number),
        Value::Size(size) => Ok(size.bytes().into()),
        other => Err(format!("%{letter} takes a number, not {}", other.kind())),
    };
    Ok(match (letter, value) {
        ('s' | 'v', value) => value.to_string(),
        ('t', Value::Bool(value)) => value.to_string(),
        ('t', other) => return Err(format!("%t takes a boolean, not {}", other.kind())),
        ('d', _) => number()?.to_string(),
        ('x', _) => format!("{:x}", number()?),
        ('q', value) => format!("{:?}", value.to_string()),
        (other, _) => {
            return Err(format!(
                "there is no %{other}, but %s, %v, %d, %q, %t and %x"
            ));
        }
    })
}

impl Verb {
    fn push(&self, out: &mut String, text: &str) {
        let end = self
            .precision
            .and_then(|most| text.char_indices().nth(most));
        let text = end.map_or(text, |(end, _)| &text[..end]);
        let blanks = self.width.saturating_sub(text.chars().count());
        let pad = |out: &mut String, with: char| out.extend(std::iter::repeat_n(with, blanks));
        match (self.left, self.zeros) {
            (true, _) => {
                out.push_str(text);
                pad(out, ' ');
            }
            (false, true) => {
                pad(out, '0');
                out.push_str(text);
            }
            (false, false) => {
                pad(out, ' ');
                out.push_str(text);
            }
        }
    }
}
