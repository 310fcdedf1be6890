//! The page about Weave Ignite's commands: every command and every flag of it has one row, and what
//! the row says is so.

use std::collections::BTreeMap;

use super::{exists, read};

/// Its commands with their flags, short ones last. A flag with a value has the value's form behind `=`.
const THEIRS: &[(&str, &[&str])] = &[
    (
        "ignite",
        &["--quiet -q", "--log-level", "--ignite-config", "--help -h"],
    ),
    ("ignite image", &[]),
    ("ignite images", &[]),
    (
        "ignite image import",
        &["--runtime", "--registry-config-dir"],
    ),
    ("ignite image ls", &[]),
    ("ignite image list", &[]),
    ("ignite image rm", &["--force -f"]),
    ("ignite rmi", &["--force -f"]),
    ("ignite kernel", &[]),
    ("ignite kernels", &[]),
    (
        "ignite kernel import",
        &["--runtime", "--registry-config-dir"],
    ),
    ("ignite kernel ls", &[]),
    ("ignite kernel list", &[]),
    ("ignite kernel rm", &["--force -f"]),
    ("ignite rmk", &["--force -f"]),
    ("ignite vm", &[]),
    ("ignite vms", &[]),
    ("ignite vm attach", &[]),
    ("ignite vm create", &[]),
    ("ignite vm kill", &[]),
    ("ignite vm logs", &[]),
    ("ignite vm ps", &[]),
    ("ignite vm ls", &[]),
    ("ignite vm list", &[]),
    ("ignite vm rm", &[]),
    ("ignite vm run", &[]),
    ("ignite vm ssh", &[]),
    ("ignite vm start", &[]),
    ("ignite vm stop", &[]),
    ("ignite attach", &[]),
    ("ignite completion", &[]),
    ("ignite cp", &["--identity -i", "--timeout"]),
    (
        "ignite create",
        &[
            "--name -n",
            "--config",
            "--ports -p",
            "--copy-files -f",
            "--cpus",
            "--kernel-args",
            "--label -l",
            "--require-name",
            "--memory",
            "--size -s",
            "--kernel-image -k",
            "--sandbox-image",
            "--ssh",
            "--volumes -v",
            "--runtime",
            "--network-plugin",
            "--id-prefix",
            "--registry-config-dir",
        ],
    ),
    ("ignite exec", &["--identity -i", "--timeout", "--tty -t"]),
    ("ignite inspect", &["--output -o", "--template -t"]),
    ("ignite kill", &[]),
    ("ignite logs", &[]),
    ("ignite ps", &["--all -a", "--filter -f", "--template -t"]),
    ("ignite rm", &["--force -f", "--config"]),
    (
        "ignite run",
        &[
            "--interactive -i",
            "--debug -d",
            "--ignore-preflight-checks",
        ],
    ),
    ("ignite ssh", &["--identity -i", "--timeout", "--tty -t"]),
    (
        "ignite start",
        &[
            "--interactive -i",
            "--debug -d",
            "--ignore-preflight-checks",
            "--runtime",
            "--network-plugin",
        ],
    ),
    ("ignite stop", &["--force-kill -f"]),
    ("ignite version", &["--output -o"]),
    ("ignite help", &[]),
    (
        "ignited",
        &[
            "--log-level",
            "--runtime",
            "--network-plugin",
            "--id-prefix",
            "--ignite-config",
        ],
    ),
    ("ignited daemon", &[]),
    (
        "ignited gitops",
        &[
            "--branch -b",
            "--interval",
            "--timeout",
            "--identity-file",
            "--hosts-file",
            "--https-username",
            "--https-password",
        ],
    ),
    ("ignited completion", &[]),
    ("ignited version", &["--output -o"]),
    ("ignite-spawn", &["--log-level"]),
];

/// What is said of a command or a flag.
#[derive(Debug)]
struct Row {
    verdict: String,
    tests: Vec<String>,
}

/// The page's rows by what they are about: a command, or a command and a long flag.
fn rows() -> BTreeMap<String, Vec<Row>> {
    let page = read("../../docs/compatibility.md");
    let mut rows: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with("| `ignite")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [about, verdict, tests] = cells[..] else {
            panic!("three cells are wanted: {line}");
        };
        let row = Row {
            verdict: verdict.to_owned(),
            tests: quoted(tests),
        };
        let about = quoted(about);
        rows.entry(about.join(" ")).or_default().push(row);
    }
    rows
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// What all rows should be about.
fn subjects() -> impl Iterator<Item = String> {
    THEIRS.iter().flat_map(|(command, flags)| {
        let of_flags = flags.iter().map(move |flag| {
            let words: Vec<&str> = flag.split(' ').collect();
            format!("{command} {}", words.join(" "))
        });
        std::iter::once((*command).to_owned()).chain(of_flags)
    })
}

#[test]
fn every_command_and_flag_has_one_row() {
    let rows = rows();
    for subject in subjects() {
        let times = rows.get(&subject).map_or(0, Vec::len);
        assert_eq!(times, 1, "{subject}");
    }
    assert_eq!(rows.len(), subjects().count());
}

#[test]
fn every_row_has_a_verdict_and_a_test_that_is_there() {
    for (subject, rows) in rows() {
        for Row { verdict, tests } in rows {
            let known = ["same", "changed: ", "gone: "];
            assert!(
                known.iter().any(|known| verdict.starts_with(known)),
                "{subject}: {verdict}"
            );
            assert!(!tests.is_empty(), "{subject} has no test");
            for test in tests {
                assert!(exists(&test), "{subject}: there is no test {test}");
            }
        }
    }
}

/// What is the same, or changed, is in the reference of the command line, which a test makes from the
/// program itself; hidden flags are not, and are said to be taken with a warning.
#[test]
fn what_is_there_is_in_the_reference() {
    let reference = read("../../docs/cli.md");
    let (everywhere, _) = reference.split_once("\n## ignite ").expect("sections");
    for (subject, rows) in rows() {
        let Some((command, flag)) = subject.split_once(" --") else {
            continue;
        };
        let there = rows.iter().any(|row| row.verdict.starts_with("same"));
        let is_ours = command == "ignite" || command.starts_with("ignite ");
        if is_ours && there {
            let section = section(&reference, command);
            assert!(
                // Flags of every command are shown once.
                shows(section, flag) || shows(everywhere, flag),
                "{command} has no {flag}:\n{section}"
            );
        }
    }
}

/// Whether a line of the reference is about this flag: its long form without the dashes, and its short
/// one where there is one, as in `force -f`.
fn shows(reference: &str, flag: &str) -> bool {
    let forms = match flag.split_once(' ') {
        Some((long, short)) => format!("{short}, --{long}"),
        None => format!("--{flag}"),
    };
    let mut lines = reference.lines().map(str::trim_start);
    lines.any(|line| {
        let rest = line.strip_prefix(&forms);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '=', '[', '.']))
    })
}

fn section<'a>(reference: &'a str, command: &str) -> &'a str {
    let heading = format!("\n## {command}\n");
    let (_, rest) = reference
        .split_once(&heading)
        .unwrap_or_else(|| panic!("the reference has no {command}"));
    rest.split("\n## ").next().unwrap_or(rest)
}
