//! A guest's list of its processes, as an agent would write it that is none of ours.

use ignite_wire::processes::{MAX_COMMAND, MAX_PROCESSES, MAX_USER, parse};

/// What is read is bounded, moves no cursor, and is read again as it was.
pub fn run(bytes: &[u8]) {
    let Ok(processes) = parse(bytes) else {
        return;
    };
    assert!(processes.len() <= MAX_PROCESSES);
    let mut text = String::new();
    for process in &processes {
        assert!(process.command.len() <= MAX_COMMAND && process.user.len() <= MAX_USER);
        let names = process.command.chars().chain(process.user.chars());
        assert!(!names.into_iter().any(char::is_control));
        text += &process.to_line().expect("plain data");
    }
    let again = parse(text.as_bytes()).expect("our own");
    assert_eq!(again, processes);
}
