//! Tables for people: columns as wide as their widest cell, three blanks between them.

use std::fmt::Write;

const GAP: usize = 3;

/// A table with a fixed number of columns.
#[derive(Debug)]
pub struct Table<const N: usize> {
    header: [&'static str; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// A table without rows.
    pub fn new(header: [&'static str; N]) -> Self {
        Self {
            header,
            rows: Vec::new(),
        }
    }

    /// Adds a row at the end.
    pub fn push(&mut self, row: [String; N]) {
        self.rows.push(row);
    }

    /// The whole table, header first, each line ended.
    pub fn render(&self) -> String {
        let widths = self.widths();
        let line = widths.iter().sum::<usize>() + N * GAP;
        let mut text = String::with_capacity(line * (self.rows.len() + 1));
        write_line(&mut text, &widths, self.header);
        for row in &self.rows {
            write_line(&mut text, &widths, row.each_ref().map(String::as_str));
        }
        text
    }

    fn widths(&self) -> [usize; N] {
        let mut widths = self.header.map(width);
        for row in &self.rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = (*widest).max(width(cell));
            }
        }
        widths
    }
}

/// Cells hold names, numbers and addresses: one column of the terminal for each character.
fn width(cell: &str) -> usize {
    if cell.is_ascii() {
        cell.len()
    } else {
        cell.chars().count()
    }
}

fn write_line<const N: usize>(text: &mut String, widths: &[usize; N], cells: [&str; N]) {
    let begin = text.len();
    for (cell, widest) in cells.iter().zip(widths) {
        let blanks = widest - width(cell) + GAP;
        write!(text, "{cell}{:blanks$}", "").expect("a String takes everything");
    }
    text.truncate(begin + text[begin..].trim_end().len());
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_do_not_trail() {
        let mut table = Table::new(["VM ID", "IMAGE", "NAME"]);
        table.push(["0123".into(), "debian:12".into(), "web".into()]);
        table.push(["0123456".into(), String::new(), String::new()]);
        insta::assert_snapshot!(table.render().replace(' ', "."), @"
        VM.ID.....IMAGE.......NAME
        0123......debian:12...web
        0123456
        ");
    }

    #[test]
    fn without_rows_there_is_a_header() {
        assert_eq!(Table::new(["A", "B"]).render(), "A   B\n");
    }
}
