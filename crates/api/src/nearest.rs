//! The word that was probably meant.

/// Longer texts are no slips, and cost the square of their length.
const LONGEST: usize = 32;

/// The nearest of the words there are, if one is near: the same but for case, or with no more than a
/// third of its letters changed.
pub fn nearest<'a>(text: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if text.is_empty() || text.len() > LONGEST {
        return None;
    }
    let lower = text.to_lowercase();
    words
        .into_iter()
        .map(|word| (distance(&lower, &word.to_lowercase()), word))
        .filter(|(distance, word)| *distance <= (word.len() / 3).max(1) && *distance < text.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// How many letters to put in, leave out or change (Levenshtein).
pub(crate) fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (above, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (index, other) in to.iter().enumerate() {
            let change = diagonal + usize::from(letter != *other);
            diagonal = row[index + 1];
            row[index + 1] = change.min(diagonal + 1).min(row[index] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_near_and_other_words_are_not() {
        let words = ["Name", "UID", "IPAddresses", "Memory"];
        for (text, meant) in [
            ("Nam", Some("Name")),
            ("name", Some("Name")),
            ("Memroy", Some("Memory")),
            ("ipaddress", Some("IPAddresses")),
            ("x", None),
            ("", None),
            ("Sandbox", None),
        ] {
            assert_eq!(nearest(text, words), meant, "{text}");
        }
        assert_eq!(nearest(&"n".repeat(1 << 20), words), None);
    }
}
