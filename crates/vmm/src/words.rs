//! What a VMM says to people. It may be in a guest's hands, so it is a line that does no harm to the
//! terminal that shows it.

/// Bytes of a line; the longest messages of VMMs have some two hundred.
pub(crate) const LONGEST: usize = 400;

/// The first bytes of a text without control characters, its lines joined.
pub(crate) fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let joined = words.join(" ");
    let plain = joined.chars().filter(|c| !c.is_control());
    let mut line = String::new();
    for c in plain {
        if line.len() + c.len_utf8() > LONGEST {
            break;
        }
        line.push(c);
    }
    line
}
