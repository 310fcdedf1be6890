//! Signals as images name them: `SIGQUIT`, `quit`, `3`, `SIGRTMIN+3`.

/// Real-time signals from the first one of the C library, which keeps two of the kernel's for itself.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// Numbers of signal(7), as x86 and ARM have them.
const NAMES: [(&str, i32); 32] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// The number of a signal; none where there is no such signal.
pub(super) fn number(text: &str) -> Option<i32> {
    let text = text.trim().to_ascii_uppercase();
    if let Ok(number) = text.parse() {
        return (1..=RTMAX).contains(&number).then_some(number);
    }
    let name = text.strip_prefix("SIG").unwrap_or(&text);
    if let Some(rest) = name.strip_prefix("RTMIN") {
        return real_time(RTMIN, rest, '+');
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        return real_time(RTMAX, rest, '-');
    }
    let known = NAMES.iter().find(|(known, _)| *known == name);
    known.map(|(_, number)| *number)
}

/// `rest` signals from the first upwards, or from the last downwards.
fn real_time(from: i32, rest: &str, sign: char) -> Option<i32> {
    if rest.is_empty() {
        return Some(from);
    }
    let digits = rest.strip_prefix(sign)?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let steps: i32 = digits.parse().ok().filter(|_| is_number)?;
    (steps <= RTMAX - RTMIN).then_some(match sign {
        '+' => from + steps,
        _ => from - steps,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_images_name_them() {
        let cases = [
            ("SIGTERM", 15),
            ("SIGQUIT", 3),
            ("winch", 28),
            ("9", 9),
            (" SIGINT ", 2),
            ("SIGRTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMAX-2", 62),
            ("64", 64),
        ];
        for (text, signal) in cases {
            assert_eq!(number(text), Some(signal), "{text}");
        }
        for text in [
            "",
            "SIG",
            "0",
            "65",
            "-1",
            "TERMINATE",
            "RTMIN+31",
            "RTMIN+-1",
            "RTMIN-1",
            "RTMAX+1",
            "RTMIN+99999999999",
        ] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
