//! Which objects of a list are shown, and how: `--filter` and `--template`.

use clap::Args;
use ignite_api::filter::{Condition, FilterError, Filters};
use ignite_api::template::{TemplateFault, Value};
use ignite_api::{Template, TemplateError};
use ignite_program::Failure;
use serde::Serialize;

use crate::output::OutputArgs;

/// An object of a list.
pub trait Listed: Serialize {
    /// Conditions on it.
    type Condition: Condition;

    /// What is left of it where only ids are wanted.
    fn id(&self) -> String;

    /// What conditions look at.
    fn facts(&self) -> <Self::Condition as Condition>::Subject;

    /// What templates see.
    fn value(&self) -> Value;
}

/// Flag of commands that show what a template says.
#[derive(Debug, Clone, Default, Args)]
pub struct TemplateArgs {
    /// Print this Go template of each instead, such as '{{.ObjectMeta.Name}}'
    #[arg(short, long, value_name = "TEMPLATE", visible_alias = "format")]
    template: Option<String>,
}

/// Flags of commands that list objects.
#[derive(Debug, Default, Args)]
pub struct ListArgs {
    /// Only those that match: '{{.ObjectMeta.Name}}=web', or name=web (repeatable)
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,

    #[command(flatten)]
    pub template: TemplateArgs,

    #[command(flatten)]
    pub output: OutputArgs,
}

impl ListArgs {
    /// Fails if there are any: before another command they would be lost.
    pub fn refuse(&self) -> Result<(), Failure> {
        let is_given =
            !self.filter.is_empty() || self.template.is_given() || self.output.output.is_some();
        match is_given {
            true => Err(Failure::usage(
                "a filter, a template or a form is given before the command",
                Some("write it after the command, such as: ignite image ls -o json".into()),
            )),
            false => Ok(()),
        }
    }

    /// Those of the items that are meant.
    pub fn choose<T: Listed>(&self, items: Vec<T>) -> Result<Vec<T>, Failure> {
        let filters = filters::<T::Condition>(&self.filter)?;
        if filters.is_empty() {
            return Ok(items);
        }
        keep(items, |item| filters.accept(&item.facts(), &item.value()))
    }
}

/// Reads filters.
pub fn filters<C: Condition>(texts: &[String]) -> Result<Filters<C>, Failure> {
    Filters::parse(texts).map_err(|error: FilterError| {
        let hint = error.hint();
        Failure::usage(error, hint)
    })
}

/// Those a template does not fail with, and that are meant.
pub fn keep<T>(
    items: Vec<T>,
    accept: impl Fn(&T) -> Result<bool, TemplateError>,
) -> Result<Vec<T>, Failure> {
    let mut kept = Vec::with_capacity(items.len());
    for item in items {
        if accept(&item).map_err(fault)? {
            kept.push(item);
        }
    }
    Ok(kept)
}

/// A template's fault is one of the command line.
pub fn fault(error: TemplateError) -> Failure {
    let hint = error.hint();
    Failure::usage(error, hint)
}

/// Fails if the error is one whatever there is to show: a field that none of them has.
pub fn typo<T>(result: Result<T, TemplateError>) -> Result<(), Failure> {
    match result {
        Err(error) if matches!(error.fault, TemplateFault::NoField { .. }) => Err(fault(error)),
        _ => Ok(()),
    }
}

/// What `--template` asks for.
#[derive(Debug)]
pub enum Form {
    /// A line of each.
    Lines(Template),
    /// A line of each below a head, in columns between tabs.
    Columns(Template),
    /// A line of JSON of each.
    Json,
}

impl TemplateArgs {
    /// Whether the flag is there.
    pub fn is_given(&self) -> bool {
        self.template.is_some()
    }

    /// What is asked for; none for the command's own table, which Docker calls `table`.
    pub fn form(&self) -> Result<Option<Form>, Failure> {
        let parse = |text: &str| text.parse::<Template>().map_err(fault);
        Ok(match self.template.as_deref() {
            None | Some("table") => None,
            Some("json") => Some(Form::Json),
            Some(text) => Some(match text.strip_prefix("table ") {
                Some(columns) => Form::Columns(parse(columns)?),
                None => Form::Lines(parse(text)?),
            }),
        })
    }
}

impl Form {
    /// The text of all, each line ended.
    pub fn render(&self, values: &[Value]) -> Result<String, Failure> {
        match self {
            Self::Lines(template) => Ok(lines(template, values)?.concat()),
            Self::Columns(template) => {
                let mut rows = vec![template.header()];
                rows.extend(lines(template, values)?);
                Ok(columns(&rows))
            }
            Self::Json => {
                lines(&"{{json .}}".parse().map_err(fault)?, values).map(|it| it.concat())
            }
        }
    }

    /// Fails on a field that nothing of this kind has.
    pub fn check(&self, example: &Value) -> Result<(), Failure> {
        match self {
            Self::Lines(template) | Self::Columns(template) => typo(template.render(example)),
            Self::Json => Ok(()),
        }
    }
}

fn lines(template: &Template, values: &[Value]) -> Result<Vec<String>, Failure> {
    let line = |value| Ok(template.render(value).map_err(fault)? + "\n");
    values.iter().map(line).collect()
}

/// Lines with tabs as lines with columns.
fn columns(rows: &[String]) -> String {
    let cells = |row: &str| {
        row.trim_end_matches('\n')
            .split('\t')
            .map(str::to_owned)
            .collect()
    };
    let rows: Vec<Vec<String>> = rows.iter().map(|row| cells(row)).collect();
    let mut widths: Vec<usize> = Vec::new();
    for row in &rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &Vec<String>| {
        let padded = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}   "));
        padded.collect::<String>().trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_below_their_heads() {
        let template: Template = r"{{.Names}}\t{{.ID}}\tx".parse().expect("a template");
        let value = |name: &str, id: &str| {
            Value::Object(
                ignite_api::template::ObjectValue::default()
                    .with("Names", Value::text(name))
                    .with("ID", Value::text(id)),
            )
        };
        let values = [value("a", "0123"), value("a-long-one", "é")];
        let text = Form::Columns(template).render(&values).expect("fields");
        insta::assert_snapshot!(text, @"
        NAMES        ID     x
        a            0123   x
        a-long-one   é      x
        ");
    }

    #[test]
    fn words_of_docker_are_forms() {
        let form = |text: &str| {
            let args = TemplateArgs {
                template: Some(text.to_owned()),
            };
            args.form()
        };
        assert!(matches!(form("table"), Ok(None)));
        assert!(matches!(form("json"), Ok(Some(Form::Json))));
        assert!(matches!(
            form(r"table {{.ID}}\t{{.Names}}"),
            Ok(Some(Form::Columns(_)))
        ));
        assert!(matches!(form("{{.ID}}"), Ok(Some(Form::Lines(_)))));
        assert_eq!(
            form("{{.ID").expect_err("no end").code(),
            ignite_program::USAGE
        );
    }
}
