//! What the frames say.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::tool::Tool;
use crate::refused::Counts;
use crate::supervisor::Rate;

/// One message, either direction; who may say what is in the comments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Agent: the stream is open. First frame.
    Hello {
        /// [`super::VERSION`].
        version: u32,
        /// The `agent_token` of the guest's configuration: no other program of the guest knows it.
        token: Vec<u8>,
    },
    /// Agent: network up, root mounted, the user's program is about to start.
    Ready,
    /// Agent: the user's command ended; the guest powers off next. Only for images without init.
    Ended {
        /// Exit code, 128 plus the number for a signal, 127 and 126 as in a shell.
        code: i32,
    },
    /// Agent: the guest is going down. The machine itself tells more surely of a power-off and of a
    /// reboot; one that says nothing for long after this has halted.
    Going {
        /// How, as far as the agent knows.
        action: PowerAction,
    },
    /// Client: run a program on this channel, which must be free.
    Exec(ExecRequest),
    /// Client: bytes for the program's standard input.
    Stdin(Vec<u8>),
    /// Client: no more input.
    StdinEnd,
    /// Agent: bytes of the program's standard output.
    Stdout(Vec<u8>),
    /// Agent: bytes of the program's standard error.
    Stderr(Vec<u8>),
    /// Agent: the program ended. Last frame of the channel, which is free again.
    Exit {
        /// How it ended.
        status: ExitStatus,
    },
    /// Client: send this signal to the program.
    Signal {
        /// Signal number on Linux.
        number: i32,
    },
    /// Either: that many more bytes may be sent on this channel.
    Credit {
        /// Bytes consumed since the last grant.
        bytes: u32,
    },
    /// Client or supervisor: nobody listens to this channel any more; its program is killed and no
    /// `Exit` follows.
    Close,
    /// Client: the terminal has another size, the program's or the console's. Supervisor, channel 0: the
    /// console's has.
    Resize(TerminalSize),
    /// Client: nobody listens to this channel any more; its program goes on, what it prints is thrown
    /// away, and no `Exit` follows. Of an attached console: it is left alone.
    Detach,
    /// Client, control socket only: what the guest prints on its console from now on, or from the moment
    /// it is ready, comes as `Stdout` on this channel, which must be free; `Stdin` is what is typed there.
    /// `Exit` follows when the guest has ended by itself, `Error` when it ended in another way.
    Attach,
    /// Supervisor: shut the guest down in order.
    Shutdown {
        /// Milliseconds until what does not end by itself is killed.
        grace_ms: u64,
    },
    /// Client, control socket only: stop the VM in order, kill it past the grace period.
    Stop {
        /// Milliseconds.
        grace_ms: u64,
    },
    /// Client, control socket only: end the VM at once.
    Kill,
    /// Client, control socket only: stop the guest's processors. Answered with [`Message::Done`], or
    /// [`Message::Error`], when that is done.
    Pause,
    /// Client, control socket only: let the guest's processors go on. Answered as `Pause` is.
    Resume,
    /// Client, control socket only: bound network and disk from now on. Answered as `Pause` is; all of
    /// it holds then, or nothing of it.
    Limit(Limits),
    /// Client, control socket only: have the guest give back that much of its memory. Answered as `Pause`
    /// is, as soon as the guest is asked: it takes its time.
    Balloon {
        /// Bytes, a multiple of 1 MiB.
        bytes: u64,
    },
    /// Supervisor, control socket only: what was asked for is done.
    Done {
        /// Whether it was not so before.
        changed: bool,
    },
    /// Client, control socket only: how is the VM?
    Status,
    /// Supervisor, control socket only.
    StatusReply(SupervisorStatus),
    /// Either: the request on this channel failed.
    Error {
        /// What failed and why.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// Either: answer with the same number.
    Ping(u64),
    /// The answer to [`Message::Ping`].
    Pong(u64),
}

/// How fast everything of a VM may be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// Each interface, by name, each way; one that is not named has no limit.
    pub interfaces: BTreeMap<String, Rate>,
    /// The root disk; none for no limit.
    pub disk: Option<Rate>,
}

/// How a guest goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PowerAction {
    /// Powered off.
    PowerOff,
    /// Stopped without powering off.
    Halt,
    /// Reboot asked for.
    Reboot,
}

/// How large a terminal is, in characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters of a line.
    pub columns: u16,
}

/// A program to run in the guest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExecRequest {
    /// Program and arguments; the program is looked up in the environment's `PATH`.
    pub argv: Vec<String>,
    /// Environment, `KEY=value`, over the agent's `PATH`, `HOME` and `TERM`.
    pub env: Vec<String>,
    /// `user[:group]`, names or numbers; empty for root.
    pub user: String,
    /// Working directory; empty for `/`.
    pub cwd: String,
    /// Whether `Stdin` frames follow; otherwise the input is `/dev/null`.
    pub stdin: bool,
    /// The program's input and output are a terminal of this size, where there is one: what it prints
    /// comes as `Stdout`, and there is input whatever `stdin` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminal: Option<TerminalSize>,
    /// What the guest program itself does in the place of a program; the rest says nothing then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<Tool>,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ExitStatus {
    /// It exited.
    Code {
        /// Exit code, 0 to 255.
        code: i32,
    },
    /// A signal ended it.
    Signal {
        /// Its number.
        number: i32,
    },
    /// There is no such program, user or directory.
    NotFound {
        /// What was not found.
        message: String,
    },
    /// It is there but could not be executed.
    NotExecutable {
        /// Why.
        message: String,
    },
}

impl ExitStatus {
    /// The code a shell would give: 128 plus the signal, 127 not found, 126 not executable.
    pub fn code(&self) -> i32 {
        match self {
            Self::Code { code } => *code,
            Self::Signal { number } => 128 + number,
            Self::NotFound { .. } => 127,
            Self::NotExecutable { .. } => 126,
        }
    }

    /// Why it never ran, if that is so.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::NotFound { message } | Self::NotExecutable { message } => Some(message),
            Self::Code { .. } | Self::Signal { .. } => None,
        }
    }
}

/// Answer of a supervisor to [`Message::Status`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SupervisorStatus {
    /// The VM's uid.
    pub uid: String,
    /// Process id of the VMM.
    pub vmm_pid: i32,
    /// Whether the agent said it is ready.
    pub ready: bool,
    /// Whether the VM was asked to stop.
    pub stopping: bool,
    /// Whether the guest's processors were stopped by a person.
    pub paused: bool,
    /// Milliseconds since the VMM was started.
    pub uptime_ms: u64,
    /// What the guest tried to send and may not, for each interface.
    pub refusals: Vec<Refusals>,
    /// What passed through each interface since the VM was started.
    pub traffic: Vec<Traffic>,
    /// Bytes of its memory that the guest has given back, once the VMM knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balloon: Option<u64>,
    /// What the VMM counted itself, where it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vmm: Option<VmmCounters>,
    /// What passed to and from its disks, once the VMM told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disks: Option<DiskCounters>,
}

/// What a guest did with its disks since it was started, all of them together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DiskCounters {
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Reads.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
}

/// What a VMM counted since it was started, all devices of a kind together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VmmCounters {
    /// Bytes the guest read from disks.
    pub disk_read_bytes: u64,
    /// Bytes the guest wrote to disks.
    pub disk_written_bytes: u64,
    /// Reads of disks.
    pub disk_reads: u64,
    /// Writes to disks.
    pub disk_writes: u64,
    /// Times a disk waited because of its rate.
    pub disk_throttled: u64,
    /// Requests to disks that failed.
    pub disk_errors: u64,
    /// Bytes the guest received.
    pub net_received_bytes: u64,
    /// Bytes the guest sent.
    pub net_sent_bytes: u64,
    /// Frames the guest received.
    pub net_received_frames: u64,
    /// Frames the guest sent.
    pub net_sent_frames: u64,
    /// Times an interface waited because of its rate.
    pub net_throttled: u64,
    /// Failures of interfaces and their taps.
    pub net_errors: u64,
    /// Bytes the guest received by vsock.
    pub vsock_received_bytes: u64,
    /// Bytes the guest sent by vsock.
    pub vsock_sent_bytes: u64,
    /// Times a processor of the guest was stopped for the VMM to do something.
    pub exits: u64,
}

/// What passed between a guest and the network of one interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Traffic {
    /// The interface.
    pub interface: String,
    /// What the guest was sent.
    pub to_guest: Passed,
    /// What the guest sent, also what it may not.
    pub from_guest: Passed,
}

/// Frames of one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Passed {
    /// Their bytes.
    pub bytes: u64,
    /// How many.
    pub packets: u64,
    /// How many more did not arrive.
    pub lost: u64,
}

/// Frames of a guest that did not reach the network of one interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Refusals {
    /// The interface.
    pub interface: String,
    /// How many, by kind.
    pub counts: Counts,
    /// The first foreign addresses that were used, a handful at most.
    pub addresses: Vec<IpAddr>,
}
