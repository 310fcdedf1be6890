//! Tables for people: columns as wide as their widest cell, three blanks between them.

use std::fmt::{Display, Write};

const GAP: usize = 3;

/// Blanks to pad with, a slice at a time.
const BLANKS: &str = "                                                                ";

/// A table with a fixed number of columns.
///
/// All cells are in one text, one after the other, so that a thousand rows cost no allocation each.
#[derive(Debug)]
pub struct Table<const N: usize> {
    header: [&'static str; N],
    cells: String,
    /// Where each cell ends in `cells`.
    ends: Vec<[usize; N]>,
    widths: [usize; N],
}

impl<const N: usize> Table<N> {
    /// A table without rows.
    pub fn new(header: [&'static str; N]) -> Self {
        Self {
            header,
            cells: String::new(),
            ends: Vec::new(),
            widths: header.map(width),
        }
    }

    /// Adds a row at the end.
    pub fn push(&mut self, row: [&dyn Display; N]) {
        let mut ends = [0; N];
        for (column, cell) in row.into_iter().enumerate() {
            let begin = self.cells.len();
            write!(self.cells, "{cell}").expect("a String takes everything");
            self.tame(begin);
            self.widths[column] = self.widths[column].max(width(&self.cells[begin..]));
            ends[column] = self.cells.len();
        }
        self.ends.push(ends);
    }

    /// What would move the cursor, or do worse, is shown as a mark: a cell is one line of text.
    fn tame(&mut self, begin: usize) {
        if self.cells[begin..].contains(char::is_control) {
            let cell = self.cells.split_off(begin);
            self.cells
                .push_str(&cell.replace(char::is_control, "\u{fffd}"));
        }
    }

    /// The whole table, header first, each line ended.
    pub fn render(&self) -> String {
        let line = self.widths.iter().sum::<usize>() + N * GAP;
        let mut text = String::with_capacity(line * (self.ends.len() + 1));
        self.write_line(&mut text, self.header);
        let mut begin = 0;
        for ends in &self.ends {
            let cells = ends.map(|end| &self.cells[std::mem::replace(&mut begin, end)..end]);
            self.write_line(&mut text, cells);
        }
        text
    }

    fn write_line(&self, text: &mut String, cells: [&str; N]) {
        let begin = text.len();
        for (cell, widest) in cells.into_iter().zip(self.widths) {
            text.push_str(cell);
            pad(text, widest - width(cell) + GAP);
        }
        text.truncate(begin + text[begin..].trim_end().len());
        text.push('\n');
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

fn pad(text: &mut String, mut blanks: usize) {
    while blanks > 0 {
        let some = blanks.min(BLANKS.len());
        text.push_str(&BLANKS[..some]);
        blanks -= some;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_do_not_trail() {
        let mut table = Table::new(["VM ID", "IMAGE", "NAME"]);
        table.push([&"0123", &"debian:12", &"web"]);
        table.push([&"0123456", &"", &""]);
        table.push([&"é", &"x", &7]);
        insta::assert_snapshot!(table.render().replace(' ', "."), @"
        VM.ID.....IMAGE.......NAME
        0123......debian:12...web
        0123456
        é.........x...........7
        ");
    }

    #[test]
    fn wide_cells_are_padded_in_pieces() {
        let mut table = Table::new(["A", "B"]);
        table.push([&"x".repeat(200), &1]);
        assert_eq!(
            table.render(),
            format!("A{:202}B\n{}   1\n", "", "x".repeat(200))
        );
    }

    #[test]
    fn a_cell_cannot_leave_its_place() {
        let mut table = Table::new(["A", "B"]);
        table.push([&"\u{1b}]0;x\u{7}", &"1\n2"]);
        assert_eq!(
            table.render(),
            "A        B\n\u{fffd}]0;x\u{fffd}   1\u{fffd}2\n"
        );
    }

    #[test]
    fn without_rows_there_is_a_header() {
        assert_eq!(Table::new(["A", "B"]).render(), "A   B\n");
    }
}
