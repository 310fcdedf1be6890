//! A command at a terminal: a person who types, and sees what it prints.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::wait_until;

/// A command that runs at a terminal of its own. It ends when dropped.
pub struct Terminal {
    child: Child,
    argv: String,
    keyboard: File,
    /// Kept open, so that the terminal can be looked at when the command has ended.
    line: OwnedFd,
    screen: Arc<Mutex<Vec<u8>>>,
    /// Where in the screen's bytes the next wait begins.
    looked: usize,
    ended: bool,
}

impl Terminal {
    pub(crate) fn start(command: Command, argv: String, rows: u16, columns: u16) -> Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).context("cannot open a terminal")?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let line = ioctl_tiocgptpeer(&master, flags)?;
        resize(&master, rows, columns)?;
        let mut command = in_its_session(&command);
        for stream in [Command::stdin, Command::stdout, Command::stderr] {
            stream(&mut command, Stdio::from(line.try_clone()?));
        }
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {argv}"))?;
        let keyboard = File::from(master);
        let screen = Arc::default();
        read_on(keyboard.try_clone()?, Arc::clone(&screen));
        Ok(Self {
            child,
            argv,
            keyboard,
            line,
            screen,
            looked: 0,
            ended: false,
        })
    }

    /// Types this.
    ///
    /// # Errors
    /// If the terminal takes nothing.
    pub fn type_in(&mut self, keys: impl AsRef<[u8]>) -> Result<()> {
        self.keyboard
            .write_all(keys.as_ref())
            .context("cannot type")
    }

    /// Everything shown until now.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&lock(&self.screen)).into_owned()
    }

    /// Waits until `text` is shown, behind what was waited for last.
    ///
    /// # Errors
    /// If it is not, with what was shown.
    pub fn wait_for(&mut self, text: &str, limit: Duration) -> Result<()> {
        let from = self.looked;
        let screen = Arc::clone(&self.screen);
        let found = wait_until(&format!("{text:?} on the screen"), limit, || {
            let bytes = lock(&screen);
            let rest = &bytes[from..];
            let at = rest
                .windows(text.len())
                .position(|window| window == text.as_bytes());
            at.with_context(|| format!("it shows:\n{}", String::from_utf8_lossy(rest)))
        });
        self.looked = from + found.with_context(|| self.argv.clone())? + text.len();
        Ok(())
    }

    /// The terminal has another size, which its foreground is told.
    ///
    /// # Errors
    /// If it cannot be set.
    pub fn resize(&self, rows: u16, columns: u16) -> Result<()> {
        resize(&self.keyboard, rows, columns)
    }

    /// Whether it echoes what is typed and edits lines, as before a program that wants every key.
    ///
    /// # Errors
    /// If it cannot be told.
    pub fn is_cooked(&self) -> Result<bool> {
        let modes = tcgetattr(&self.keyboard).context("cannot look at the terminal")?;
        Ok(modes
            .local_modes
            .contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG))
    }

    /// Sends the command itself a signal.
    ///
    /// # Errors
    /// If it is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.inner()?, signal).with_context(|| format!("cannot signal {}", self.argv))
    }

    /// Waits for its end; its exit code.
    ///
    /// # Errors
    /// If it does not end.
    pub fn wait(&mut self, limit: Duration) -> Result<i32> {
        let child = &mut self.child;
        let status = wait_until("its end", limit, || match child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err("it runs".to_owned()),
            Err(error) => Err(error.to_string()),
        });
        let Ok(status) = status else {
            bail!("{} does not end; it shows:\n{}", self.argv, self.shown());
        };
        self.ended = true;
        let signal = status.signal().map(|signal| 128 + signal);
        status.code().or(signal).context("an exit code")
    }

    /// Waits for its end, and wants this exit code and the terminal as it was.
    ///
    /// # Errors
    /// What is not so.
    pub fn ends_with(&mut self, code: i32, limit: Duration) -> Result<()> {
        let ended = self.wait(limit)?;
        self.see_all()?;
        ensure!(
            ended == code,
            "{} ended with {ended}, not {code}; it shows:\n{}",
            self.argv,
            self.shown()
        );
        let shown = self.shown();
        ensure!(!shown.contains("left-raw"), "{} left it raw", self.argv);
        Ok(())
    }

    /// Waits until all that the command wrote is on the screen: what is written behind it is there.
    fn see_all(&self) -> Result<()> {
        rustix::io::write(&self.line, b"\0").context("cannot write to the terminal")?;
        wait_until("all that was written", Duration::from_secs(10), || {
            let mut screen = lock(&self.screen);
            ensure!(screen.last() == Some(&0), "it is not there yet");
            screen.pop();
            Ok(())
        })
    }

    /// The command: the child of a shell, which is the child of `nsenter`.
    fn inner(&self) -> Result<Pid> {
        let shell = crate::host::only_child(self.child.id())?;
        crate::host::only_child(shell.as_raw_nonzero().get().unsigned_abs())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if !self.ended {
            if let Ok(pid) = self.inner() {
                let _ = kill_process(pid, Signal::KILL);
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The same command, in a session of its own that its input controls, as at a person's terminal: it is
/// told of another size.
fn in_its_session(command: &Command) -> Command {
    let mut session = Command::new("setsid");
    session.arg("--ctty").arg(command.get_program());
    session.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => session.env(name, value),
            None => session.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        session.current_dir(directory);
    }
    session
}

fn resize(terminal: impl AsFd, rows: u16, columns: u16) -> Result<()> {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(terminal, size).context("cannot resize the terminal")
}

/// Reads what is shown on a thread of its own, which ends with the terminal.
fn read_on(mut from: File, screen: Arc<Mutex<Vec<u8>>>) {
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read) = from.read(&mut buffer) {
            lock(&screen).extend_from_slice(&buffer[..read]);
        }
    });
}

fn lock(screen: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}
