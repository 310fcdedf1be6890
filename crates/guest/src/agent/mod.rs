//! The agent: does in the guest what the supervisor asks for.
//!
//! ```text
//!   port (virtio-serial, vsock) <--frames--> Agent --+-- Program (channel 1): stdin, stdout, stderr, end
//!                                            |      +-- Program (channel 2): ...
//!                                            '-- init, if PID 1 is ours; PID 1's signals, if not
//! ```
//!
//! One thread, one poll loop. Its memory is bounded whatever the host or the programs do: a fixed
//! number of programs, a window of input for each, and output is only read while there is room.

mod child;
mod dying;
mod port;
mod program;
mod shutdown;
pub mod talk;
pub mod wires;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::link::{self, Message as Word};
use crate::machine::Machine;
use crate::{boot, console, power};
use dying::Dying;
use ignite_host::signal::{PollFd, PollFlags, Signals, poll};
use ignite_wire::agent::{
    ExecRequest, ExitStatus, Frame, Message, PowerAction, TerminalSize, VERSION,
};
pub use port::Port;
use program::Program;
use shutdown::Shutdown;
use talk::{Answer, Stream};
pub use wires::resize;

/// What the agent is called, so that [`crate::main`] knows its role. The `@` asks the inits that
/// kill everybody at the end to spare it: it serves no user space (systemd's "root storage daemons").
pub const ARGV0: &str = "@ignite-agent";

/// Programs that may run at the same time.
const MAX_PROGRAMS: usize = 128;

/// Output is not read while that many bytes wait for the host to take them.
const MAX_PENDING: usize = 128 * 1024;

/// How often to look for a host that has closed its side of the stream.
const RECONNECT: Duration = Duration::from_millis(100);

/// How long the host may take to hear that the guest goes down.
const TELL_WITHIN: Duration = Duration::from_secs(1);

struct Agent {
    machine: Machine,
    /// What proves to the supervisor that this is the agent.
    token: Vec<u8>,
    port: Port,
    /// When to look for a host that is not there.
    next_host: Instant,
    /// `/dev/null`, which the agent's own root does not have.
    null: File,
    /// This program, for its tools: soon it has no name any more.
    itself: File,
    /// Base of the environment of every program.
    env: Vec<String>,
    programs: BTreeMap<u32, Program>,
    /// Those that were killed, until they are dead.
    dying: Dying,
    /// Link to PID 1, as long as that is our own program.
    init: Option<OwnedFd>,
    signals: Signals,
    /// Readable when a file system was mounted or unmounted: PID 1 may be another program then.
    mounts: Option<File>,
    shutdown: Shutdown,
    going: bool,
}

/// What a descriptor of the poll set belongs to.
#[derive(Clone, Copy)]
enum Source {
    Port,
    Init,
    Signals,
    Mounts,
    Program(u32, Stream),
}

/// Runs the agent; ends with the guest.
pub fn run() -> ExitCode {
    let _ = rustix::thread::set_name(c"ignite-agent");
    match Agent::new() {
        Ok(mut agent) => agent.serve(),
        Err(error) => {
            console::say(&format!("the agent cannot start: {error}"));
            ExitCode::FAILURE
        }
    }
}

impl Agent {
    fn new() -> io::Result<Self> {
        let machine = Machine::from_words(std::env::args().skip(1));
        let stream = io::stdin().as_fd().try_clone_to_owned()?;
        let link = io::stdout().as_fd().try_clone_to_owned()?;
        let env = std::env::vars_os()
            .filter_map(|(key, value)| Some(format!("{}={}", key.to_str()?, value.to_str()?)));
        Ok(Self {
            machine,
            token: link::take_token(&link)?,
            port: Port::new(stream, machine.agent)?,
            null: File::options().read(true).write(true).open("dev/null")?,
            itself: File::open("proc/self/exe")?,
            env: env.collect(),
            programs: BTreeMap::new(),
            dying: Dying::default(),
            next_host: Instant::now(),
            init: Some(link),
            signals: Signals::block(&[libc::SIGTERM]).map_err(io::Error::other)?,
            mounts: File::open("proc/self/mountinfo").ok(),
            shutdown: Shutdown::default(),
            going: false,
        })
    }

    fn serve(&mut self) -> ExitCode {
        self.greet();
        self.let_init_go_on();
        boot::load_late_modules();
        self.wait_for_root();
        loop {
            self.wait_and_act();
            self.end_programs();
            if self.shutdown.is_late(Instant::now()) {
                power::down(PowerAction::PowerOff, self.machine.power_off);
            }
        }
    }

    fn greet(&mut self) {
        let hello = Message::Hello {
            version: VERSION,
            token: self.token.clone(),
        };
        self.send(0, hello);
        self.send(0, Message::Ready);
    }

    fn let_init_go_on(&self) {
        if let Some(init) = &self.init {
            // One that is gone is found out when it is waited for.
            let _ = link::tell(init, Word::Ready);
        }
    }

    /// Takes no request before PID 1 is done: a program shall see a whole root.
    fn wait_for_root(&mut self) {
        let Some(init) = &self.init else { return };
        if !link::wait_for(Word::Complete, init, None) {
            self.init = None;
        }
    }

    fn send(&mut self, channel: u32, message: Message) {
        self.port.send(&Frame { channel, message });
    }

    fn wait_and_act(&mut self) {
        let room = self.port.pending() < MAX_PENDING;
        let connected = self.port.is_connected();
        let sources = self.sources(room);
        let mut fds: Vec<PollFd<'_>> = sources
            .iter()
            .map(|(source, flags)| PollFd::from_borrowed_fd(self.descriptor(*source), *flags))
            .collect();
        let now = Instant::now();
        let look_again = (!connected).then_some(self.next_host);
        let looks = [look_again, self.dying.next()];
        let limit = looks
            .into_iter()
            .flatten()
            .map(|at| at.saturating_duration_since(now))
            .chain(self.shutdown.remaining(now))
            .min();
        if poll(&mut fds, limit).is_err() {
            return;
        }
        let ready: Vec<(Source, PollFlags)> = sources
            .iter()
            .zip(&fds)
            .filter(|(_, fd)| !fd.revents().is_empty())
            .map(|((source, _), fd)| (*source, fd.revents()))
            .collect();
        drop(fds);
        if !connected {
            let is_there = ready
                .iter()
                .any(|(source, _)| matches!(source, Source::Port));
            self.reconnect(is_there, Instant::now());
        }
        for (source, events) in ready {
            self.act(source, events);
        }
    }

    /// What to wait for.
    fn sources(&self, room: bool) -> Vec<(Source, PollFlags)> {
        let mut sources = vec![(Source::Signals, PollFlags::IN)];
        sources.extend(self.port.interest().map(|flags| (Source::Port, flags)));
        sources.extend(self.init.as_ref().map(|_| (Source::Init, PollFlags::IN)));
        // Mount tables announce changes as an exceptional condition (proc(5)).
        sources.extend(
            self.mounts
                .as_ref()
                .map(|_| (Source::Mounts, PollFlags::PRI)),
        );
        for (channel, program) in &self.programs {
            let streams = program.streams(room).into_iter().flatten();
            sources
                .extend(streams.map(|stream| (Source::Program(*channel, stream), stream.flags())));
        }
        sources
    }

    fn descriptor(&self, source: Source) -> BorrowedFd<'_> {
        let descriptor = match source {
            Source::Port => Some(self.port.as_fd()),
            Source::Init => self.init.as_ref().map(AsFd::as_fd),
            Source::Signals => Some(self.signals.as_fd()),
            Source::Mounts => self.mounts.as_ref().map(AsFd::as_fd),
            Source::Program(channel, stream) => self
                .programs
                .get(&channel)
                .and_then(|program| program.descriptor(stream)),
        };
        descriptor.expect("sources lists open descriptors only")
    }

    fn act(&mut self, source: Source, events: PollFlags) {
        match source {
            Source::Port => self.exchange(events),
            Source::Init => self.hear_init(),
            Source::Signals => self.hear_signals(),
            Source::Mounts => self.look_at_init(),
            Source::Program(channel, stream) => self.serve_program(channel, stream),
        }
    }

    fn exchange(&mut self, events: PollFlags) {
        if events.intersects(PollFlags::OUT) {
            self.port.flush();
        }
        let readable = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
        // What is being connected was looked at.
        if !self.port.is_connected() || !events.intersects(readable) {
            return;
        }
        let open = self.port.receive();
        while let Some(frame) = self.port.next_frame() {
            self.obey(frame);
        }
        self.feed_programs();
        if !open {
            self.disconnect();
        }
    }

    /// The host closed its side: nobody listens to any program.
    fn disconnect(&mut self) {
        let (detached, heard) = std::mem::take(&mut self.programs)
            .into_iter()
            .partition(|(_, program)| program.is_detached());
        self.programs = detached;
        let abandoned = heard.into_values().filter_map(Program::abandon);
        let now = Instant::now();
        self.dying.extend(abandoned, now);
        self.port.reset();
        self.next_host = now + RECONNECT;
    }

    /// Looks for the host: when it `is_there` by what the port says, or now and then.
    fn reconnect(&mut self, is_there: bool, now: Instant) {
        if !is_there && now < self.next_host {
            return;
        }
        self.next_host = now + RECONNECT;
        if self.port.look_for_host() {
            self.greet();
        }
    }

    fn obey(&mut self, frame: Frame) {
        let channel = frame.channel;
        match frame.message {
            Message::Ping(number) => self.send(channel, Message::Pong(number)),
            Message::Shutdown { grace_ms } => self.shut_down(grace_ms),
            Message::Resize(size) if channel == 0 => resize_console(size),
            Message::Exec(request) => self.exec(channel, &request),
            Message::Close => {
                let abandoned = self.programs.remove(&channel).and_then(Program::abandon);
                self.dying.extend(abandoned, Instant::now());
            }
            message => {
                // A channel that just ended may still be spoken to.
                let answer = self
                    .programs
                    .get_mut(&channel)
                    .and_then(|program| program.obey(message));
                if let Some(answer) = answer {
                    tell(&mut self.port, channel, answer);
                }
            }
        }
    }

    fn exec(&mut self, channel: u32, request: &ExecRequest) {
        if channel == 0 || self.programs.contains_key(&channel) {
            let message = format!("channel {channel} is in use");
            self.send(
                channel,
                Message::Error {
                    message,
                    hint: None,
                },
            );
            return;
        }
        let started = match full(self.programs.len(), self.dying.count()) {
            Some(message) => Err(ExitStatus::NotExecutable { message }),
            None => Program::start(
                request,
                &self.env,
                &self.null,
                &self.itself,
                &mut self.dying,
            ),
        };
        match started {
            Ok(program) => {
                self.programs.insert(channel, program);
            }
            Err(status) => self.send(channel, Message::Exit { status }),
        }
    }

    /// Gives programs the input that has come for them.
    fn feed_programs(&mut self) {
        for (channel, program) in &mut self.programs {
            if let Some(answer) = program.feed() {
                tell(&mut self.port, *channel, answer);
            }
        }
    }

    fn serve_program(&mut self, channel: u32, stream: Stream) {
        let Some(program) = self.programs.get_mut(&channel) else {
            return;
        };
        if let Some(answer) = program.serve(stream) {
            tell(&mut self.port, channel, answer);
        }
    }

    /// Says good-bye for the programs that ended, after their last output.
    fn end_programs(&mut self) {
        self.dying.look(Instant::now());
        for (channel, program) in &mut self.programs {
            while self.port.pending() < MAX_PENDING
                && let Some(answer) = program.left_over()
            {
                tell(&mut self.port, *channel, answer);
            }
        }
        let ended: Vec<(u32, ExitStatus)> = self
            .programs
            .iter()
            .filter_map(|(channel, program)| Some((*channel, program.ended()?)))
            .collect();
        for (channel, status) in ended {
            let program = self.programs.remove(&channel);
            if program.is_some_and(|program| !program.is_detached()) {
                self.send(channel, Message::Exit { status });
            }
        }
    }

    fn shut_down(&mut self, grace_ms: u64) {
        let grace = Duration::from_millis(grace_ms);
        match &self.init {
            Some(init) => {
                let _ = link::tell(init, Word::Stop(grace_ms));
            }
            None => self
                .shutdown
                .begin(Instant::now(), grace, &self.null, &mut self.dying),
        }
    }

    fn hear_init(&mut self) {
        let Some(init) = &self.init else { return };
        match link::hear(init) {
            Ok(Some(Word::Ended(code))) => self.send(0, Message::Ended { code }),
            Ok(Some(Word::Going(action))) => {
                self.say_going(action);
                if let Some(init) = &self.init {
                    let _ = link::tell(init, Word::Told);
                }
            }
            Ok(_) => {}
            Err(_) => self.init = None,
        }
    }

    /// Somebody kills everybody: an init that shuts down and knows nothing of the `@`.
    fn hear_signals(&mut self) {
        while let Ok(Some(_)) = self.signals.next() {
            if self.init.is_none() {
                self.say_going(shutdown::action_of_init().unwrap_or(PowerAction::PowerOff));
            }
        }
    }

    /// An init that unmounts file systems because it shuts down says so in its arguments.
    fn look_at_init(&mut self) {
        if let Some(action) = shutdown::action_of_init() {
            self.say_going(action);
        }
    }

    /// Tells the supervisor once, and waits for it to be told: the machine may be gone any time.
    fn say_going(&mut self, action: PowerAction) {
        if !std::mem::replace(&mut self.going, true) {
            self.send(0, Message::Going { action });
        }
        for frame in self.port.deliver(TELL_WITHIN) {
            self.obey(frame);
        }
        // Whoever waits for everybody to be gone waits for the programs too.
        for program in self.programs.values() {
            program.signal(libc::SIGTERM);
        }
    }
}

fn tell(port: &mut Port, channel: u32, answer: Answer) {
    let message = match answer {
        Answer::Output { data, is_error } => return port.send_output(channel, is_error, &data),
        Answer::Credit(bytes) => Message::Credit { bytes },
        Answer::Error(message) => Message::Error {
            message,
            hint: None,
        },
    };
    port.send(&Frame { channel, message });
}

/// Why no more programs can run, if that is so: beside those that run there are those that cannot die.
fn full(running: usize, dying: usize) -> Option<String> {
    if running + dying < MAX_PROGRAMS {
        return None;
    }
    let stuck = match dying {
        0 => return Some(format!("{MAX_PROGRAMS} programs run in the VM already")),
        1 => "1 program that was killed waits".to_owned(),
        more => format!("{more} programs that were killed wait"),
    };
    Some(format!(
        "{stuck} in the kernel (state D), and {running} run: the VM has as many as it may"
    ))
}

/// Whoever runs in the console's foreground gets SIGWINCH. The console is where the agent complains.
fn resize_console(size: TerminalSize) {
    if let Err(error) = resize(rustix::stdio::stderr(), size) {
        console::warn(&error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_refused_hears_whether_programs_run_or_cannot_die() {
        assert_eq!(full(MAX_PROGRAMS - 1, 0), None);
        assert_eq!(full(100, MAX_PROGRAMS - 101), None);
        let told = |running, dying| full(running, dying).expect("there is no room");
        assert_eq!(told(MAX_PROGRAMS, 0), "128 programs run in the VM already");
        let stuck = told(1, MAX_PROGRAMS - 1);
        assert!(stuck.starts_with("127 programs that were killed wait in the kernel (state D), "));
        let stuck = told(MAX_PROGRAMS - 1, 1);
        assert!(stuck.starts_with("1 program that was killed waits in the kernel (state D), "));
        assert!(stuck.contains("and 127 run:"), "{stuck}");
    }
}
