//! One command in a host, from start to end, and what came out.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::running::Running;
use crate::terminal::Terminal;

/// Longer than anything takes that works.
const DEADLINE: Duration = Duration::from_secs(120);

/// Runs a command, and tells of a terminal that it leaves in raw mode: when the terminal's first process
/// ends, the kernel puts it back by itself.
const AT_TERMINAL: &str = r#""$@"; code=$?; stty -a | grep -qE -- "-(icanon|echo|isig|opost)( |;|$)" && echo left-raw; exit $code"#;

/// A command to be run in a host.
#[must_use = "nothing runs before output() or start()"]
pub struct Invocation {
    /// Enters the host; its last word is a program that takes variables.
    prefix: Vec<OsString>,
    variables: Vec<OsString>,
    argv: Vec<OsString>,
    stdin: Vec<u8>,
    deadline: Duration,
}

/// How a command ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// The command line, for messages.
    pub argv: String,
    /// The exit code; 128 and the signal's number where one ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Invocation {
    /// `prefix` enters the host, `argv` is what runs there.
    pub(crate) fn new(prefix: &[OsString], argv: &[OsString]) -> Self {
        let (prefix, argv) = (prefix.to_vec(), argv.to_vec());
        Self {
            prefix,
            variables: Vec::new(),
            argv,
            stdin: Vec::new(),
            deadline: DEADLINE,
        }
    }

    /// Arguments more.
    pub fn args<W: AsRef<OsStr>>(mut self, words: &[W]) -> Self {
        self.argv
            .extend(words.iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// What the command reads; nothing unless said.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// An environment variable more.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let mut variable = name.as_ref().to_owned();
        variable.push("=");
        variable.push(value);
        self.variables.push(variable);
        self
    }

    /// How long it may take before it is killed and counts as failed.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs it to its end, whatever that is.
    ///
    /// # Errors
    /// If it cannot start, or is not done by its deadline.
    pub fn output(self) -> Result<Output> {
        let (argv, deadline, stdin) = (self.line(), self.deadline, self.stdin.clone());
        let mut running = self.start()?;
        let mut input = running.take_stdin().context("stdin is a pipe")?;
        // A command may end without having read all; that is no failure.
        thread::spawn(move || drop(input.write_all(&stdin)));
        running
            .wait(deadline)
            .with_context(|| format!("{argv} is not done after {deadline:?}"))
    }

    /// Runs it and wants exit code 0; the result is stdout without its last
    /// line break.
    ///
    /// # Errors
    /// As [`Self::output`]; or, if it failed, with all it said.
    pub fn ok(self) -> Result<String> {
        self.output()?.ok()
    }

    /// Starts it in the background.
    ///
    /// # Errors
    /// If it cannot start.
    pub fn start(self) -> Result<Running> {
        let line = self.line();
        self.child().map(|child| Running::new(child, line))
    }

    /// Starts it in the background, for who reads and writes its pipes as bytes. It
    /// ends with its host at the latest.
    ///
    /// # Errors
    /// If it cannot start.
    pub fn child(self) -> Result<Child> {
        let mut command = Command::new(&self.prefix[0]);
        command
            .args(&self.prefix[1..])
            .args(&self.variables)
            .args(&self.argv);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
            .spawn()
            .with_context(|| format!("cannot start {}", self.line()))
    }

    /// Starts it at a terminal of this size.
    ///
    /// # Errors
    /// If it cannot start.
    pub fn at_terminal(self, rows: u16, columns: u16) -> Result<Terminal> {
        let mut command = Command::new(&self.prefix[0]);
        for word in &self.prefix[1..] {
            command.arg(word);
            if word == "setsid" {
                // The terminal is the session's: its size is told, its end ends it.
                command.arg("--ctty");
            }
        }
        command
            .args(&self.variables)
            .args(["sh", "-c", AT_TERMINAL, "sh"]);
        command.args(&self.argv);
        Terminal::start(command, self.line(), rows, columns)
    }

    /// The command line, for messages.
    fn line(&self) -> String {
        let words: Vec<_> = self
            .argv
            .iter()
            .map(|word| word.to_string_lossy())
            .collect();
        words.join(" ")
    }
}

impl Output {
    /// Stdout without its last line break, if the command succeeded.
    ///
    /// # Errors
    /// With all the command said, if it failed.
    pub fn ok(self) -> Result<String> {
        ensure!(self.code == 0, "{self}");
        Ok(self.stdout.trim_end_matches('\n').to_owned())
    }

    /// Asserts that the command was refused, as a failure or as wrong usage,
    /// and that stderr names every one of `words`, an `error:` and a `hint:`.
    ///
    /// # Errors
    /// What is not so, with all the command said.
    pub fn complains(&self, words: &[&str]) -> Result<()> {
        ensure!(
            matches!(self.code, 1 | 2),
            "exit code 1 or 2 expected: {self}"
        );
        self.refused(self.code, words)
    }

    /// Asserts that the command failed with `code` and that stderr names every
    /// one of `words`, an `error:` and a `hint:`.
    ///
    /// # Errors
    /// What is not so, with all the command said.
    pub fn refused(&self, code: i32, words: &[&str]) -> Result<()> {
        ensure!(self.code == code, "exit code {code} expected: {self}");
        for word in words.iter().chain(&["error:", "hint:"]) {
            if !self.stderr.contains(word) {
                bail!("{word:?} is not in the message: {self}");
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\nended with {}\n", self.argv, self.code)?;
        write!(
            f,
            "--- stdout\n{}\n--- stderr\n{}",
            self.stdout.trim_end(),
            self.stderr.trim_end()
        )
    }
}

/// Reads a pipe to its end on a thread of its own.
pub(crate) fn drain(mut pipe: impl std::io::Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error is what there is.
        let _ = pipe.by_ref().read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
