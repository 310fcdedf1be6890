//! A daemon with directories of its own, and a service manager that listens.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// What anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A VM of that name and image.
pub fn manifest(name: &str, image: &str) -> String {
    format!(
        "apiVersion: ignite.weave.works/v1alpha4\nkind: VM\nmetadata: {{name: {name}}}\n\
         spec: {{image: {{oci: \"{image}\"}}}}\n"
    )
}

/// Directories of a daemon.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a directory"));
        std::fs::create_dir(place.manifests()).expect("a directory");
        place
    }

    pub fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    pub fn manifests(&self) -> PathBuf {
        self.0.path().join("manifests")
    }

    pub fn manifest(&self, name: &str) -> PathBuf {
        self.manifests().join(name)
    }

    pub fn socket(&self) -> PathBuf {
        self.0.path().join("daemon.sock")
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.manifest(name), text).expect("written");
    }

    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.manifest(name)).expect("removed");
    }

    pub fn status_text(&self) -> String {
        std::fs::read_to_string(self.data().join("ignited/status.json")).unwrap_or_default()
    }

    pub fn status(&self) -> Value {
        serde_json::from_str(&self.status_text()).unwrap_or_default()
    }

    /// Waits until the status file is so.
    pub fn until_status(&self, is: impl Fn(&Value) -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !is(&self.status()) {
            assert!(Instant::now() < deadline, "{}", self.status_text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ignited"));
        command
            .env("IGNITE_DATA_DIR", self.data())
            .env_remove("JOURNAL_STREAM");
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().expect("it runs")
    }
}

/// One that runs.
pub struct Daemon {
    child: Child,
    manager: Receiver<String>,
    heard: Vec<String>,
    socket: PathBuf,
    log: PathBuf,
    _notify: TempDir,
}

impl Daemon {
    pub fn start(place: &Place, arguments: &[&str]) -> Self {
        let notify = tempfile::tempdir().expect("a directory");
        let address = notify.path().join("notify");
        let manager = UnixDatagram::bind(&address).expect("a socket");
        let (words, heard) = channel();
        // It ends with the test's process: a socket nobody sends to any more.
        std::thread::spawn(move || listen(&manager, &words));
        let log = notify.path().join("log");
        let child = place
            .command()
            .args(["daemon", "--manifest-dir"])
            .arg(place.manifests())
            .arg("--metrics-socket")
            .arg(place.socket())
            .args(arguments)
            .env("NOTIFY_SOCKET", &address)
            .env("WATCHDOG_USEC", "400000")
            .stderr(std::fs::File::create(&log).expect("a log"))
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts");
        Self {
            child,
            manager: heard,
            heard: Vec::new(),
            socket: place.socket(),
            log,
            _notify: notify,
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the daemon tells the service manager this, after what was waited for before.
    pub fn hears(&mut self, word: &str) {
        loop {
            if let Some(at) = self.heard.iter().position(|heard| heard == word) {
                self.heard.drain(..=at);
                return;
            }
            let text = self.manager.recv_timeout(LIMIT);
            let text = text.unwrap_or_else(|error| panic!("{word}: {error}: {}", self.said()));
            self.heard.extend(text.lines().map(str::to_owned));
        }
    }

    pub fn signal(&self, number: i32) {
        let status = Command::new("kill")
            .arg(format!("-{number}"))
            .arg(self.id().to_string())
            .status();
        assert!(status.expect("kill runs").success());
    }

    /// Its exit code, once it has ended; none if a signal ended it.
    pub fn wait(&mut self) -> Option<i32> {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return status.code();
            }
            assert!(
                Instant::now() < deadline,
                "it does not end: {}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Its log.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).expect("a log")
    }

    /// Status and body of an answer.
    pub fn get(&self, path: &str) -> (u16, String) {
        self.request(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
    }

    pub fn request(&self, request: &str) -> (u16, String) {
        let mut stream = UnixStream::connect(&self.socket).expect("it listens");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        (status.expect("a status"), body.to_owned())
    }

    pub fn until_health(&self, status: u16) {
        let deadline = Instant::now() + LIMIT;
        while self.get("/healthz").0 != status {
            assert!(Instant::now() < deadline, "{}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Hundredths of a second that its threads have run.
    pub fn processor_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).expect("it runs");
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .expect("fields")
            .split(' ')
            .collect();
        // proc_pid_stat(5): utime and stime, the 14th and 15th field.
        let tick = |index: usize| fields[index].parse::<u64>().expect("a number");
        tick(12) + tick(13)
    }
}

/// Passes on what a daemon tells its service manager, for as long as somebody wants to know.
fn listen(manager: &UnixDatagram, words: &Sender<String>) {
    let mut buffer = [0; 4096];
    while let Ok(length) = manager.recv(&mut buffer) {
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if words.send(text).is_err() {
            return;
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // One that has ended is as it should be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
