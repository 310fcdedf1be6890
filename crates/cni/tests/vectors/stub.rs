//! A plugin that does as its script says.
//!
//! `<root>/scripts/<type>.json` maps a command (or `*`) to an answer:
//! `result` (JSON to print, or `"PASSTHROUGH"` for the previous result),
//! `stdout` (text to print), `stderr`, `exit`, `sleep_ms`. Without a script it
//! prints `{}`, and all versions for VERSION. Every call is appended to
//! `<root>/calls`, one JSON object a line.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Map, Value, json};

pub fn main() -> ExitCode {
    let program = PathBuf::from(std::env::args_os().next().expect("a program has a name"));
    let name = program
        .file_name()
        .expect("a file")
        .to_string_lossy()
        .into_owned();
    let root = program
        .parent()
        .and_then(Path::parent)
        .expect("<root>/bin/<type>");
    let command = std::env::var("CNI_COMMAND").unwrap_or_default();
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .expect("standard input");
    let stdin: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
    record(root, &name, &command, &stdin);
    let script = fs::read_to_string(root.join("scripts").join(name + ".json"));
    let script: Value = script.map_or(Value::Null, |text| {
        serde_json::from_str(&text).expect("JSON")
    });
    let answer = script
        .get(&command)
        .or_else(|| script.get("*"))
        .cloned()
        .unwrap_or_default();
    give(&answer, &command, &stdin)
}

fn record(root: &Path, name: &str, command: &str, stdin: &Value) {
    let env: Map<String, Value> = std::env::vars()
        .filter(|(name, _)| name.starts_with("CNI_"))
        .map(|(name, value)| (name, Value::from(value)))
        .collect();
    let call = json!({"plugin": name, "command": command, "env": env, "stdin": stdin});
    let mut file = fs::File::options()
        .create(true)
        .append(true)
        .open(root.join("calls"))
        .expect("the record of calls");
    writeln!(file, "{call}").expect("recorded");
}

fn give(answer: &Value, command: &str, stdin: &Value) -> ExitCode {
    if let Some(time) = answer.get("sleep_ms").and_then(Value::as_u64) {
        std::thread::sleep(Duration::from_millis(time));
    }
    if let Some(text) = answer.get("stderr").and_then(Value::as_str) {
        eprint!("{text}");
    }
    match (
        answer.get("stdout").and_then(Value::as_str),
        answer.get("result"),
    ) {
        (Some(text), _) => print!("{text}"),
        (None, Some(Value::String(word))) if word == "PASSTHROUGH" => {
            print!("{}", stdin["prevResult"])
        }
        (None, Some(result)) => print!("{result}"),
        (None, None) if command == "VERSION" => print!(
            r#"{{"cniVersion":"1.1.0","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}}"#
        ),
        (None, None) => print!("{{}}"),
    }
    let code = answer
        .get("exit")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
