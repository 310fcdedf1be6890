//! The machine that is described: what may be asked when, and what is opened by it.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use ignite_host::tap;
use serde_json::{Value, json};

use super::http::{Call, Reply};
use super::schema::{self, Version};

/// Bytes of the kernel's command line.
const MAX_ARGUMENTS: usize = 2048;

/// Interrupts for devices, without those of the two the program adds.
const DEVICES: usize = 17;

/// What the machine shall do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Run the guest.
    Start,
    /// Stop its processors.
    Pause,
    /// Let them go on.
    Resume,
    /// Press Ctrl, Alt and Del.
    CtrlAltDel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    NotStarted,
    Running,
    Paused,
}

/// The machine, as far as it was described.
#[derive(Debug)]
pub struct Machine {
    version: Version,
    state: State,
    /// The kernel's arguments.
    pub arguments: String,
    /// The log, once it is set.
    pub log: Option<File>,
    metrics: Option<File>,
    kernel: Option<File>,
    initramfs: Option<File>,
    drives: Vec<(String, File)>,
    taps: Vec<(String, OwnedFd)>,
    vsock: Option<(PathBuf, UnixListener)>,
    entropy: bool,
    balloon: Option<Balloon>,
}

#[derive(Debug)]
struct Balloon {
    amount_mib: u64,
    has_statistics: bool,
    /// Whether the guest's driver is up.
    is_active: bool,
}

type Outcome = Result<(Reply, Option<Action>), String>;

impl Machine {
    /// Of a program of this version.
    pub fn new(version: (u32, u32)) -> Self {
        Self {
            version,
            state: State::NotStarted,
            arguments: String::new(),
            log: None,
            metrics: None,
            kernel: None,
            initramfs: None,
            drives: Vec::new(),
            taps: Vec::new(),
            vsock: None,
            entropy: false,
            balloon: None,
        }
    }

    /// The guest's drivers are up: a balloon takes what it is to take at once.
    pub fn activate(&mut self) {
        if let Some(balloon) = &mut self.balloon {
            balloon.is_active = true;
        }
    }

    /// Logs to this file from now on, which must be there.
    pub fn log_to(&mut self, path: &Path) -> Result<(), String> {
        self.log = Some(open_output(&path.to_string_lossy())?);
        Ok(())
    }

    /// Answers a request, and says what is to be done.
    pub fn handle(&mut self, call: &Call) -> (Reply, Option<Action>) {
        match self.try_handle(call) {
            Ok(done) => done,
            Err(fault) => (Reply::Fault(fault), None),
        }
    }

    /// Writes a line to the log.
    pub fn log(&mut self, line: &str) {
        if let Some(log) = &mut self.log {
            // A full pipe loses lines.
            let _ = writeln!(log, "2026-08-01T10:00:00.000000000 {line}");
        }
    }

    /// Writes a line of metrics: each counts from the one before.
    pub fn flush_metrics(&mut self) {
        if let Some(metrics) = &mut self.metrics {
            let line = json!({
                "utc_timestamp_ms": 1, "api_server": { "process_startup_time_us": 1 },
                "block": { "read_bytes": 4096, "read_count": 1 },
                "net": { "tx_bytes_count": 60, "tx_packets_count": 1 },
                "vcpu": { "exit_io_out": 10 },
            });
            let _ = writeln!(metrics, "{line}");
        }
    }

    /// The whole initramfs.
    pub fn read_initramfs(&mut self) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if let Some(file) = &mut self.initramfs {
            file.read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    }

    /// Where the host listens for the guest's connections to this port.
    pub fn vsock_path(&self, port: u32) -> Option<PathBuf> {
        let (path, _) = self.vsock.as_ref()?;
        let mut path = path.clone().into_os_string();
        path.push(format!("_{port}"));
        Some(path.into())
    }

    /// The tap of the first interface.
    pub fn first_tap(&self) -> std::io::Result<Option<OwnedFd>> {
        let tap = self.taps.first().map(|(_, tap)| tap.try_clone());
        tap.transpose()
    }

    /// Whether the guest's processors run.
    pub fn is_running(&self) -> bool {
        self.state == State::Running
    }

    fn try_handle(&mut self, call: &Call) -> Outcome {
        let (resource, id) = match call.path[1.min(call.path.len())..].split_once('/') {
            Some((resource, id)) => (format!("/{resource}"), Some(id)),
            None => (call.path.clone(), None),
        };
        if call.method == "GET" {
            return self.get(&call.path);
        }
        let fields = schema::fields(&call.method, &resource)
            .ok_or_else(|| format!("Invalid request method and/or path: {}.", call.name()))?;
        let body: Value = serde_json::from_slice(&call.body)
            .map_err(|error| format!("An error occurred when deserializing the body: {error}."))?;
        schema::check(fields, &body, self.version)
            .map_err(|error| format!("An error occurred when deserializing the body: {error}."))?;
        check_id(id, &body)?;
        match (call.method.as_str(), resource.as_str()) {
            ("PUT", "/actions") => self.act(&body),
            ("PATCH", "/vm") => self.change_state(&body),
            ("PATCH", "/balloon") => self.patch_balloon(&body),
            ("PATCH", _) => self.patch_drive(&body),
            (_, resource) => self.configure(resource, &body),
        }
    }

    fn get(&self, path: &str) -> Outcome {
        let (major, minor) = self.version;
        let version = format!("{major}.{minor}.0");
        let state = match self.state {
            State::NotStarted => "Not started",
            State::Running => "Running",
            State::Paused => "Paused",
        };
        let value = match path {
            "/version" => json!({ "firecracker_version": version }),
            "/" => json!({
                "id": "stand-in", "app_name": "Firecracker", "state": state, "vmm_version": version,
            }),
            "/balloon/statistics" => self.balloon_statistics()?,
            _ => return Err(format!("Invalid request method and/or path: GET {path}.")),
        };
        Ok((Reply::Value(value), None))
    }

    fn balloon_statistics(&self) -> Result<Value, String> {
        if self.state == State::NotStarted {
            return Err(before_start());
        }
        let balloon = self.balloon.as_ref().ok_or_else(no_balloon)?;
        if !balloon.has_statistics {
            return Err("Balloon statistics are not enabled.".to_owned());
        }
        let target = balloon.amount_mib;
        let actual = if balloon.is_active { target } else { 0 };
        Ok(json!({
            "target_pages": target << 8, "actual_pages": actual << 8,
            "target_mib": target, "actual_mib": actual,
        }))
    }

    fn act(&mut self, body: &Value) -> Outcome {
        let started = self.state != State::NotStarted;
        let action = body["action_type"].as_str().unwrap_or_default();
        match (action, started) {
            ("InstanceStart", true) => Err(after_start()),
            ("InstanceStart", false) => {
                self.start()?;
                Ok((Reply::Done, Some(Action::Start)))
            }
            (_, false) => Err(before_start()),
            ("FlushMetrics", true) => {
                self.flush_metrics();
                Ok((Reply::Done, None))
            }
            (_, true) => Ok((Reply::Done, Some(Action::CtrlAltDel))),
        }
    }

    /// The kernel's format is looked at now; a failure leaves all as it was.
    fn start(&mut self) -> Result<(), String> {
        let mut magic = [0; 4];
        let kernel = self.kernel.as_mut().ok_or("Cannot start without kernel")?;
        kernel
            .read_exact(&mut magic)
            .map_err(|error| format!("Cannot load kernel: {error}"))?;
        if &magic != b"\x7fELF" {
            return Err("Cannot load kernel: Invalid Elf magic number".to_owned());
        }
        let others = [self.vsock.is_some(), self.entropy, self.balloon.is_some()];
        let others = others.into_iter().filter(|it| *it).count();
        if self.drives.len() + self.taps.len() + others > DEVICES {
            return Err("Cannot attach a device: no more interrupts are available".to_owned());
        }
        self.state = State::Running;
        self.log("[stand-in:main:INFO] Successfully started microvm");
        self.flush_metrics();
        Ok(())
    }

    fn change_state(&mut self, body: &Value) -> Outcome {
        if self.state == State::NotStarted {
            return Err(before_start());
        }
        let (state, action) = match body["state"].as_str() {
            Some("Paused") => (State::Paused, Action::Pause),
            _ => (State::Running, Action::Resume),
        };
        self.state = state;
        Ok((Reply::Done, Some(action)))
    }

    fn patch_drive(&mut self, body: &Value) -> Outcome {
        if self.state == State::NotStarted {
            return Err(before_start());
        }
        let id = body["drive_id"].as_str().unwrap_or_default();
        if !self.drives.iter().any(|(known, _)| known == id) {
            return Err(format!("Unable to patch the block device: no {id}"));
        }
        Ok((Reply::Done, None))
    }

    fn patch_balloon(&mut self, body: &Value) -> Outcome {
        if self.state == State::NotStarted {
            return Err(before_start());
        }
        let balloon = self.balloon.as_mut().ok_or_else(no_balloon)?;
        if !balloon.is_active {
            return Err("Error updating the balloon: Device not activated yet".to_owned());
        }
        balloon.amount_mib = body["amount_mib"].as_u64().unwrap_or_default();
        Ok((Reply::Done, None))
    }

    fn configure(&mut self, resource: &str, body: &Value) -> Outcome {
        if self.state != State::NotStarted {
            return Err(after_start());
        }
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        match resource {
            "/logger" => self.log = optional(body, "log_path", open_output)?,
            "/metrics" if self.metrics.is_some() => {
                return Err("Metrics were already initialized.".to_owned());
            }
            "/metrics" => self.metrics = Some(open_output(&text("metrics_path"))?),
            "/boot-source" => {
                self.arguments = text("boot_args");
                if self.arguments.len() > MAX_ARGUMENTS {
                    return Err("The kernel command line is too long".to_owned());
                }
                self.kernel = Some(open(&text("kernel_image_path"), false)?);
                self.initramfs = optional(body, "initrd_path", |path| open(path, false))?;
            }
            "/drives" => self.put_drive(body)?,
            "/network-interfaces" => {
                self.put_interface(&text("iface_id"), &text("host_dev_name"))?
            }
            "/entropy" => self.entropy = true,
            "/balloon" => {
                self.balloon = Some(Balloon {
                    amount_mib: body["amount_mib"].as_u64().unwrap_or_default(),
                    has_statistics: body["stats_polling_interval_s"].as_u64() > Some(0),
                    is_active: false,
                });
            }
            "/vsock" => self.put_vsock(PathBuf::from(text("uds_path")))?,
            _ => {}
        }
        Ok((Reply::Done, None))
    }

    fn put_drive(&mut self, body: &Value) -> Result<(), String> {
        let id = body["drive_id"].as_str().unwrap_or_default().to_owned();
        let read_only = body["is_read_only"].as_bool().unwrap_or(false);
        let file = open(
            body["path_on_host"].as_str().unwrap_or_default(),
            !read_only,
        )?;
        self.drives.retain(|(known, _)| *known != id);
        self.drives.push((id, file));
        Ok(())
    }

    /// One that is not there is made, without a word.
    fn put_interface(&mut self, id: &str, name: &str) -> Result<(), String> {
        self.taps.retain(|(known, _)| known != id);
        let tap = tap::open(name)
            .map_err(|error| format!("Cannot open TAP device: {error}: {}", error.source))?;
        self.taps.push((id.to_owned(), tap));
        Ok(())
    }

    /// It is listened on from now on, and left behind in the end.
    fn put_vsock(&mut self, path: PathBuf) -> Result<(), String> {
        let listener = UnixListener::bind(&path)
            .map_err(|error| format!("Cannot create backend for vsock device: {error}"))?;
        self.vsock = Some((path, listener));
        Ok(())
    }
}

fn after_start() -> String {
    "The requested operation is not supported after starting the microVM.".to_owned()
}

fn no_balloon() -> String {
    "No balloon device found.".to_owned()
}

fn before_start() -> String {
    "The requested operation is not supported before starting the microVM.".to_owned()
}

/// The name in the path is plain, and the same as in the body.
fn check_id(id: Option<&str>, body: &Value) -> Result<(), String> {
    let named = body.get("drive_id").or_else(|| body.get("iface_id"));
    let plain = |id: &str| {
        id.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    match (id, named.and_then(Value::as_str)) {
        (None, None) => Ok(()),
        (Some(id), Some(named)) if id == named && !id.is_empty() && plain(id) => Ok(()),
        (id, named) => Err(format!("The id from the path {id:?} is not {named:?}")),
    }
}

fn optional<T>(
    body: &Value,
    name: &str,
    open: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    body[name].as_str().map(open).transpose()
}

fn open(path: &str, write: bool) -> Result<File, String> {
    File::options()
        .read(true)
        .write(write)
        .open(path)
        .map_err(|error| format!("Cannot open {path}: {error}"))
}

/// A pipe is opened both ways, so that nobody need read it.
fn open_output(path: &str) -> Result<File, String> {
    let file = File::options()
        .read(true)
        .write(true)
        .custom_flags(i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default())
        .open(path);
    file.map_err(|error| match error.kind() {
        ErrorKind::NotFound => format!("No such file: {path}"),
        _ => format!("Cannot open {path}: {error}"),
    })
}
