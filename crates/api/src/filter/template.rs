//! `{{.Field}}=value`: what a template prints, compared with text.

use super::error::FilterFault;
use crate::template::{self, Value};
use crate::{Template, TemplateError};

type Fault = (usize, FilterFault);

/// One comparison.
#[derive(Debug, Clone)]
pub(super) struct TemplateFilter {
    key: Template,
    operator: Operator,
    value: String,
}

/// How text is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Contains,
    ContainsNot,
}

/// The longer ones first.
const OPERATORS: [(&str, Operator); 5] = [
    ("==", Operator::Equal),
    ("=~", Operator::Contains),
    ("!=", Operator::NotEqual),
    ("!~", Operator::ContainsNot),
    ("=", Operator::Equal),
];

impl TemplateFilter {
    /// Whether it holds.
    pub(super) fn holds(&self, value: &Value) -> Result<bool, TemplateError> {
        let text = self.key.render(value)?;
        let wanted = self.value.as_str();
        Ok(match self.operator {
            Operator::Equal => text == wanted,
            Operator::NotEqual => text != wanted,
            Operator::Contains => text.contains(wanted),
            Operator::ContainsNot => !text.contains(wanted),
        })
    }
}

/// Reads comparisons between commas.
pub(super) fn parse(text: &str) -> Result<Vec<TemplateFilter>, Fault> {
    let (mut filters, mut at) = (Vec::new(), 0);
    loop {
        let rest = &text[at..];
        at += rest.len() - rest.trim_start().len();
        let (filter, length) = one(&text[at..]).map_err(|(here, fault)| (at + here, fault))?;
        filters.push(filter);
        at += length;
        match text[at..].strip_prefix(',') {
            Some(_) => at += 1,
            None => return Ok(filters),
        }
    }
}

/// One comparison and its length, up to a comma or the end.
fn one(text: &str) -> Result<(TemplateFilter, usize), Fault> {
    if !text.starts_with("{{") {
        return Err((0, FilterFault::NoTemplate));
    }
    let end = template::braces(text).ok_or((0, FilterFault::Unclosed))?;
    let key = text[..end]
        .parse()
        .map_err(|error| (0, FilterFault::Template(error)))?;
    let rest = text[end..].trim_start();
    let at = text.len() - rest.len();
    let found = OPERATORS.iter().find(|(sign, _)| rest.starts_with(sign));
    let (sign, operator) = found.ok_or((at, FilterFault::NoOperator))?;
    let value = rest[sign.len()..].split(',').next().unwrap_or_default();
    let filter = TemplateFilter {
        key,
        operator: *operator,
        value: value.trim().to_owned(),
    };
    Ok((filter, at + sign.len() + value.len()))
}
