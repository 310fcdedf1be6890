//! Whether a range of user numbers belongs to nobody.

use std::ops::Range;

use super::text;

/// So many owners are named; there may be any number.
const NAMED: usize = 3;

/// Who has numbers in `range`, by `/etc/passwd` (accounts) and `/etc/subuid` (ranges that accounts hand
/// out to their containers): the first few, in words. What a directory service knows is not seen.
pub fn owners(range: &Range<u32>) -> Vec<String> {
    let file = |path| text(path).unwrap_or_default();
    owners_in(range, &file("/etc/passwd"), &file("/etc/subuid"))
}

fn owners_in(range: &Range<u32>, passwd: &str, subuid: &str) -> Vec<String> {
    let accounts = passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, uid) = (fields.next()?, fields.nth(1)?.parse::<u32>().ok()?);
        range
            .contains(&uid)
            .then(|| format!("the account {name} has {uid}"))
    });
    let ranges = subuid.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let first = fields.next()?.trim().parse::<u64>().ok()?;
        let end = first.checked_add(fields.next()?.trim().parse::<u64>().ok()?)?;
        let overlaps = first < u64::from(range.end) && u64::from(range.start) < end;
        overlaps.then(|| format!("/etc/subuid gives {first} to {} to {name}", end - 1))
    });
    accounts.chain(ranges).take(NAMED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: Range<u32> = 1000..2000;

    #[test]
    fn accounts_and_their_ranges_take_numbers() {
        let passwd =
            "root:x:0:0::/root:/bin/sh\nbob:x:1500:1500::/:/bin/sh\nbad\nold:x:2000:1::/:\n";
        let found = owners_in(&RANGE, passwd, "ann:500:501\neve:2000:10\n# no\njoe:1:x\n");
        assert_eq!(
            found,
            [
                "the account bob has 1500",
                "/etc/subuid gives 500 to 1000 to ann"
            ]
        );
    }

    #[test]
    fn neighbours_of_the_range_take_nothing() {
        assert!(owners_in(&RANGE, "a:x:999:1:::\nb:x:2000:1:::\n", "c:500:500\n").is_empty());
        assert!(owners_in(&RANGE, "", "huge:18446744073709551615:2\n").is_empty());
    }

    #[test]
    fn only_the_first_few_are_named() {
        let many: String = (1000..1100)
            .map(|uid| format!("u:x:{uid}:1:::\n"))
            .collect();
        assert_eq!(owners_in(&RANGE, &many, "").len(), NAMED);
    }
}
