//! Lines for `iptables-restore`, by what `iptables-save` shows.
//!
//! ```text
//!   -A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
//!   -A FLANNEL-FWD -s 10.5.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
//!   -A FLANNEL-FWD -d 10.5.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
//! ```
//!
//! Written exactly as `flanneld` does, comment and all, so that each finds the other's. A rule is
//! removed by its own text with `-A` turned into `-D`, so whatever it holds means the same.

use ipnet::IpNet;

const FORWARD: Names = Names {
    base: "FORWARD",
    chain: "FLANNEL-FWD",
    comment: "flanneld forward",
};

const MASQUERADE: Names = Names {
    base: "POSTROUTING",
    chain: "FLANNEL-POSTRTG",
    comment: "flanneld masq",
};

/// How Flannel calls things in one table.
struct Names {
    base: &'static str,
    chain: &'static str,
    comment: &'static str,
}

/// What of one table matters here.
struct Saved<'a> {
    /// The policy of the base chain is to drop.
    drops: bool,
    /// There is Flannel's chain.
    exists: bool,
    /// The rules of the base chain.
    base: Vec<&'a str>,
    /// The rules of Flannel's chain.
    chain: Vec<&'a str>,
    /// Other chains go to Flannel's.
    shared: bool,
}

/// Lines that let through what comes from `network` and goes to it; none if that is so, or if neither
/// anything drops nor Flannel's chain is there. `saved` is the filter table.
pub fn plan(saved: &str, network: IpNet) -> Vec<String> {
    let names = &FORWARD;
    let saved = Saved::read(saved, names);
    let stop = saved.base.iter().position(|line| drops_all(line));
    if !saved.exists && !saved.drops && stop.is_none() {
        return Vec::new();
    }
    let Names {
        base,
        chain,
        comment,
    } = names;
    let mut lines = Vec::new();
    if !saved.exists {
        lines.push(format!("-N {chain}"));
    }
    for side in ["-s", "-d"] {
        if !saved.chain.iter().any(|line| accepts(line, side, network)) {
            lines.push(format!(
                "-A {chain} {side} {network} -m comment --comment \"{comment}\" -j ACCEPT"
            ));
        }
    }
    let reached = &saved.base[..stop.unwrap_or(saved.base.len())];
    if !reached.iter().any(|line| names.is_jump(line)) {
        let place = match stop {
            Some(stop) => format!("-I {base} {}", stop + 1),
            None => format!("-A {base}"),
        };
        lines.push(format!(
            "{place} -m comment --comment \"{comment}\" -j {chain}"
        ));
    }
    lines
}

/// Lines that take away what [`plan`] brings; the chain only when it then is empty. `saved` is the
/// filter table.
pub fn removal(saved: &str, network: IpNet) -> Vec<String> {
    let names = &FORWARD;
    remove(saved, names, |line| {
        names.has_comment(line) && ["-s", "-d"].iter().any(|side| accepts(line, side, network))
    })
}

/// Lines that take away what a `flanneld` that is no more left behind of `network`, which this node has
/// left or where it has another subnet now. `saved` is the nat table.
pub fn superseded(saved: &str, network: IpNet) -> Vec<String> {
    let names = &MASQUERADE;
    let of_network = |line: &str| {
        names.has_comment(line) && words(line).iter().any(|word| word.parse() == Ok(network))
    };
    if !Saved::read(saved, names)
        .chain
        .iter()
        .any(|line| of_network(line))
    {
        return Vec::new();
    }
    // The rule about kube-proxy's mark names no network: it alone keeps no chain.
    let alone = Saved::read(saved, names)
        .chain
        .iter()
        .all(|line| of_network(line) || is_mark(line));
    remove(saved, names, |line| {
        of_network(line) || (alone && is_mark(line))
    })
}

fn remove(saved: &str, names: &Names, ours: impl Fn(&str) -> bool) -> Vec<String> {
    let saved = Saved::read(saved, names);
    if !saved.exists {
        return Vec::new();
    }
    let (ours, others): (Vec<&str>, Vec<&str>) =
        saved.chain.iter().copied().partition(|line| ours(line));
    let mut lines: Vec<String> = ours.into_iter().map(deletion).collect();
    if others.is_empty() && !saved.shared {
        let jumps = saved
            .base
            .iter()
            .copied()
            .filter(|line| names.is_jump(line));
        lines.extend(jumps.map(deletion));
        lines.push(format!("-X {}", names.chain));
    }
    lines
}

/// The line that deletes what `line` of `iptables-save` shows.
pub(super) fn deletion(line: &str) -> String {
    line.replacen("-A ", "-D ", 1)
}

impl<'a> Saved<'a> {
    fn read(text: &'a str, names: &Names) -> Self {
        let mut saved = Self {
            drops: false,
            exists: false,
            base: Vec::new(),
            chain: Vec::new(),
            shared: false,
        };
        for line in text.lines() {
            let mut words = line.split(' ');
            match (words.next(), words.next()) {
                (Some(declared), Some(policy)) if declared.starts_with(':') => {
                    saved.exists |= &declared[1..] == names.chain;
                    saved.drops |= &declared[1..] == names.base && policy == "DROP";
                }
                (Some("-A"), Some(chain)) if chain == names.chain => saved.chain.push(line),
                (Some("-A"), Some(chain)) => {
                    if chain == names.base {
                        saved.base.push(line);
                    }
                    saved.shared |=
                        names.is_target(line) && !(chain == names.base && names.is_jump(line));
                }
                _ => {}
            }
        }
        saved
    }
}

impl Names {
    /// An unconditional jump from the base chain to Flannel's.
    fn is_jump(&self, line: &str) -> bool {
        words(line) == ["-A", self.base, "-j", self.chain]
    }

    /// Any way to Flannel's chain.
    fn is_target(&self, line: &str) -> bool {
        words(line)
            .windows(2)
            .any(|pair| matches!(pair, ["-j" | "-g", target] if *target == self.chain))
    }

    fn has_comment(&self, line: &str) -> bool {
        line.contains(&format!(" --comment \"{}\" ", self.comment))
    }
}

/// The words of a rule without its comment, which may hold anything.
fn words(line: &str) -> Vec<&str> {
    let (before, after) = match line.split_once(" -m comment --comment ") {
        Some((before, rest)) => (before, rest.get(argument(rest)..).unwrap_or_default()),
        None => (line, ""),
    };
    before
        .split(' ')
        .chain(after.split(' '))
        .filter(|word| !word.is_empty())
        .collect()
}

/// The length of the argument at the head of `text`: a word, or in quotes with `\` before what is meant
/// literally.
fn argument(text: &str) -> usize {
    let Some(quoted) = text.strip_prefix('"') else {
        return text.find(' ').unwrap_or(text.len());
    };
    let mut escaped = false;
    for (at, byte) in quoted.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 2,
            _ => {}
        }
    }
    text.len()
}

fn accepts(line: &str, side: &str, network: IpNet) -> bool {
    match words(line)[..] {
        [_, _, found, address, "-j", "ACCEPT"] => found == side && address.parse() == Ok(network),
        _ => false,
    }
}

fn drops_all(line: &str) -> bool {
    matches!(words(line)[..], [_, _, "-j", "DROP" | "REJECT", ..])
}

fn is_mark(line: &str) -> bool {
    MASQUERADE.has_comment(line)
        && matches!(
            words(line)[..],
            [
                _,
                _,
                "-m",
                "mark",
                "--mark",
                "0x4000/0x4000",
                "-j",
                "RETURN"
            ]
        )
}
