//! The index behind [`summary`](crate::summary): lines of fields between tabs.
//!
//! It is a cache: what cannot be understood is as good as absent, a failure to write it is told to
//! nobody but the log. Its last line says that it is whole, so it needs no sync.

use std::fmt::{Display, Write as _};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::str::FromStr;

use jiff::Timestamp;

use ignite_api::{PortMapping, Size};
use ignite_wire::supervisor::End;

use crate::record::status::State;
use crate::summary::{Remembered, Stamp, VmSummary};

/// Its name among the VMs' directories.
pub(crate) const FILE: &str = "index";

/// First line: another version is another file.
const HEAD: &str = "ignite index 3";
/// Last line.
const TAIL: &str = "end";
/// About the shortest line of a VM, in bytes.
const ROW: usize = 100;
/// Between two fields.
const SEPARATOR: u8 = b'\t';
/// A field without a value.
const NONE: &str = "-";

const STATES: [State; 5] = [
    State::Created,
    State::Starting,
    State::Running,
    State::Paused,
    State::Stopped,
];

/// Words for the ways a VM ends, as the records write them.
const ENDS: [(End, &str); 9] = [
    (End::PoweredOff, "powered-off"),
    (End::Halted, "halted"),
    (End::Rebooted, "rebooted"),
    (End::Panicked, "panicked"),
    (End::Killed, "killed"),
    (End::BootTimeout, "boot-timeout"),
    (End::VmmFailed, "vmm-failed"),
    (End::Lost, "lost"),
    (End::NetworkLost, "network-lost"),
];

/// Everything the index remembers, in the order of the uids; nothing where it is absent or not whole.
pub(crate) fn read(path: &Path) -> Vec<Remembered> {
    fs::read_to_string(path)
        .ok()
        .and_then(|text| decode(&text))
        .unwrap_or_default()
}

/// Replaces the index.
pub(crate) fn write<'a>(path: &Path, rows: impl Iterator<Item = &'a Remembered>) {
    let temporary = path.with_file_name(format!(".{FILE}.{}.tmp", std::process::id()));
    let written = fs::File::create(&temporary)
        .and_then(|mut file| file.write_all(encode(rows).as_bytes()))
        .and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        tracing::debug!(path = %path.display(), %error, "cannot write the index of VMs");
        let _ = fs::remove_file(&temporary);
    }
}

fn encode<'a>(rows: impl Iterator<Item = &'a Remembered>) -> String {
    let mut text = format!("{HEAD}\n");
    for row in rows {
        encode_row(&mut text, row);
    }
    text.push_str(TAIL);
    text.push('\n');
    text
}

fn encode_row(text: &mut String, Remembered { stamp, vm }: &Remembered) {
    let fields: [&dyn Display; 19] = [
        &vm.uid,
        &stamp.inode,
        &stamp.seconds,
        &stamp.nanoseconds,
        &vm.name,
        &vm.image,
        &vm.kernel,
        &vm.disk_size.bytes(),
        &vm.cpus,
        &vm.memory.bytes(),
        &nanoseconds(vm.created),
        &vm.state.as_str(),
        &optional(vm.started.map(nanoseconds)),
        &optional(vm.ended.map(nanoseconds)),
        &end_word(vm),
        &optional(vm.exit_code),
        &vm.refused,
        &list(&vm.addresses),
        &list(
            &vm.ports
                .iter()
                .map(PortMapping::to_argument)
                .collect::<Vec<_>>(),
        ),
    ];
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            text.push(SEPARATOR.into());
        }
        write!(text, "{field}").expect("a String takes everything");
    }
    text.push('\n');
}

/// Since the epoch; 64 bits last until the year 2262.
fn nanoseconds(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX)
}

fn optional<T: Display>(value: Option<T>) -> String {
    value.map_or_else(|| NONE.into(), |value| value.to_string())
}

fn end_word(vm: &VmSummary) -> &'static str {
    let word = ENDS.iter().find(|(end, _)| Some(*end) == vm.end);
    word.map_or(NONE, |(_, word)| word)
}

fn list<T: Display>(values: &[T]) -> String {
    let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    texts.join(",")
}

fn decode(text: &str) -> Option<Vec<Remembered>> {
    let body = text
        .strip_prefix(HEAD)?
        .strip_prefix('\n')?
        .strip_suffix('\n')?;
    let body = body.strip_suffix(TAIL)?;
    let mut rows = Vec::with_capacity(body.len() / ROW);
    for line in body.lines() {
        rows.push(decode_row(&mut Fields(Some(line)))?);
    }
    let ordered = rows.is_sorted_by(|one: &Remembered, next| one.vm.uid < next.vm.uid);
    ordered.then_some(rows)
}

/// The fields of one line, one after the other.
struct Fields<'a>(Option<&'a str>);

impl<'a> Fields<'a> {
    fn text(&mut self) -> Option<&'a str> {
        let line = self.0?;
        // Fields are short: a search made for long texts takes three times as long.
        let (field, rest) = match line.bytes().position(|byte| byte == SEPARATOR) {
            Some(end) => (&line[..end], Some(&line[end + 1..])),
            None => (line, None),
        };
        self.0 = rest;
        Some(field)
    }

    fn value<T: FromStr>(&mut self) -> Option<T> {
        self.text()?.parse().ok()
    }

    fn optional<T: FromStr>(&mut self) -> Option<Option<T>> {
        match self.text()? {
            NONE => Some(None),
            text => text.parse().ok().map(Some),
        }
    }

    fn time(&mut self) -> Option<Option<Timestamp>> {
        match self.optional::<i64>()? {
            None => Some(None),
            Some(nanoseconds) => Timestamp::from_nanosecond(nanoseconds.into())
                .ok()
                .map(Some),
        }
    }

    fn list<T>(&mut self, parse: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
        let text = self.text()?;
        text.split(',')
            .filter(|part| !part.is_empty())
            .map(parse)
            .collect()
    }
}

fn decode_row(fields: &mut Fields<'_>) -> Option<Remembered> {
    let uid = fields.value()?;
    let stamp = Stamp {
        inode: fields.value()?,
        seconds: fields.value()?,
        nanoseconds: fields.value()?,
    };
    let vm = VmSummary {
        uid,
        name: fields.text()?.into(),
        image: fields.text()?.into(),
        kernel: fields.text()?.into(),
        disk_size: Size::from_bytes(fields.value()?),
        cpus: fields.value()?,
        memory: Size::from_bytes(fields.value()?),
        created: fields.time()??,
        state: state(fields.text()?)?,
        started: fields.time()?,
        ended: fields.time()?,
        end: end(fields.text()?)?,
        exit_code: fields.optional()?,
        refused: fields.value()?,
        addresses: fields.list(|text| text.parse().ok())?,
        ports: fields.list(|text| PortMapping::parse(text).ok()?.pop())?,
    };
    fields.text().is_none().then_some(Remembered { stamp, vm })
}

fn state(word: &str) -> Option<State> {
    STATES.into_iter().find(|state| state.as_str() == word)
}

fn end(word: &str) -> Option<Option<End>> {
    if word == NONE {
        return Some(None);
    }
    ENDS.iter()
        .find(|(_, known)| *known == word)
        .map(|(end, _)| Some(*end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ignite_api::Uid;

    fn row(end: Option<End>) -> Remembered {
        let vm = VmSummary {
            uid: Uid::random(),
            name: "web".into(),
            image: "debian:12".into(),
            kernel: "6.1.0".into(),
            disk_size: Size::GIB,
            cpus: 2,
            memory: Size::MIB,
            created: Timestamp::from_nanosecond(1_700_000_000_123_456_789).expect("in range"),
            state: State::Stopped,
            started: Some(Timestamp::UNIX_EPOCH),
            ended: None,
            end,
            exit_code: Some(-1),
            refused: true,
            addresses: vec![
                "10.61.0.2/16".parse().expect("valid"),
                "fd00::2/64".parse().expect("valid"),
            ],
            ports: PortMapping::parse_all(["8080:80", "[::1]:53:53/udp"]).expect("valid"),
        };
        Remembered {
            stamp: Stamp {
                inode: 7,
                seconds: 1,
                nanoseconds: 2,
            },
            vm,
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut rows: Vec<Remembered> = ENDS
            .map(|(end, _)| row(Some(end)))
            .into_iter()
            .chain([row(None)])
            .collect();
        rows.sort_by_key(|row| row.vm.uid);
        let known = decode(&encode(rows.iter())).expect("own text");
        assert_eq!(known.len(), rows.len());
        for (row, again) in rows.iter().zip(&known) {
            assert_eq!((&again.vm, again.stamp), (&row.vm, row.stamp));
        }
        rows.reverse();
        assert!(decode(&encode(rows.iter())).is_none(), "out of order");
    }

    #[test]
    fn the_words_are_those_of_the_records() {
        for (end, word) in ENDS {
            assert_eq!(
                serde_json::to_string(&end).expect("plain"),
                format!("{word:?}")
            );
        }
        for state in STATES {
            assert_eq!(
                serde_json::to_string(&state).expect("plain"),
                format!("{:?}", state.as_str())
            );
        }
    }

    #[test]
    fn a_cut_or_changed_index_is_no_index() {
        let whole = encode([row(None)].iter());
        for length in 0..whole.len() {
            assert!(decode(&whole[..length]).is_none(), "{length}");
        }
        assert!(decode(&whole.replace("index 3", "index 4")).is_none());
        assert!(decode(&whole.replace("stopped", "melted")).is_none());
    }
}
