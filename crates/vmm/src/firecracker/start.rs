//! From nothing to a guest that runs. Every wait is bounded, and ends when the process does.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use ignite_host::link::Netlink;
use ignite_host::process::{self, Spec, Stdio};
use ignite_host::signal::{PollFd, PollFlags, poll};
use ignite_wire::supervisor::Machine;
use serde::Deserialize;

use super::answer::Answer;
use super::client::{Client, PATIENCE};
use super::command::{self, Interface, LOG, METRICS, Paths};
use super::error::Error;
use super::files::{Connected, Files};
use super::request::Request;
use super::surroundings::{Surroundings, give_disks, size};
use super::version::Version;
use super::volumes::{self, Taken};
use super::{Firecracker, Pipe, log, metrics};
use crate::words::one_line;
use crate::{Console, Error as VmmError, Resources, Tap};

/// The signal Firecracker gets when its parent ends.
const SIGKILL: i32 = 9;

/// Number of the descriptor that holds the liveness lock, of which Firecracker knows nothing.
const LIVE: i32 = 3;

/// Between two attempts to connect to a socket that is there: it is listened on in a moment, or the
/// program is no Firecracker.
const FIRST_PAUSE: Duration = Duration::from_micros(25);
const LAST_PAUSE: Duration = Duration::from_millis(5);

/// How long all the requests of a start may take together, however fast each is answered.
const START_PATIENCE: Duration = Duration::from_secs(30);

const CONNECT: &str = "connect to Firecracker";

/// How long a process that closed its connection, or was killed, may take to end.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// A tap that Firecracker opens by its name.
struct NamedTap {
    name: String,
    index: u32,
    mac: String,
    mtu: u32,
}

impl Firecracker {
    /// Starts Firecracker and the guest; see [`crate::Driver::start`].
    pub(crate) fn start(machine: &Machine, resources: Resources) -> Result<Self, VmmError> {
        let work = resources.work.ok_or_else(|| VmmError::BadMachine {
            reason: "Firecracker needs a work directory".to_owned(),
        })?;
        let Taken {
            machine,
            numbers,
            held,
        } = volumes::take(machine)?;
        let machine = &machine;
        let own = (machine, &numbers);
        let taps = named_taps(resources.nics)?;
        let size = size(&resources.initramfs)?;
        let Surroundings {
            paths,
            directory,
            user,
            command: (program, arguments),
            walls,
        } = Surroundings::new(own, &work, resources.confinement, taps.len(), size)?;
        let describe = |version| requests(machine, &paths, &taps, version);
        // What it would refuse is not begun.
        describe(Version::OLDEST)?;
        give_disks(machine, user)?;
        let files = Files::new(directory, user);
        files.initramfs(&resources.initramfs)?;
        let listener = files.listen()?;
        let [log, metrics] = [files.pipe(LOG)?, files.pipe(METRICS)?];
        let watch = files.watch()?;
        let (console, stdin, stdout) = Console::pipes().map_err(|source| VmmError::Stream {
            what: "console",
            source,
        })?;
        let spec = Spec::new(program)
            .args(arguments)
            .env_clear()
            .parent_death_signal(SIGKILL)
            .process_group()
            .stdin(Stdio::Fd(stdin))
            .stdout(Stdio::Fd(stdout));
        let spec = given(spec, resources.live, resources.log);
        let (spec, jail) = walls.around(spec);
        let mut firecracker = Self {
            process: process::spawn(spec)?,
            console,
            listener,
            client: None,
            log: Pipe(Some(log)),
            log_lines: log::Decoder::default(),
            metrics: Pipe(Some(metrics)),
            metrics_lines: metrics::Decoder::default(),
            pending: Vec::new(),
            quitting: false,
            has_balloon: machine.balloon.is_some(),
            files,
            watch,
            _volumes: held,
            _jail: jail,
        };
        match firecracker.boot(describe, &taps) {
            Ok(()) => Ok(firecracker),
            Err(error) => {
                firecracker.abandon();
                Err(error)
            }
        }
    }

    fn boot(
        &mut self,
        describe: impl Fn(Version) -> Result<Vec<Request>, VmmError>,
        taps: &[NamedTap],
    ) -> Result<(), VmmError> {
        self.connect()?;
        let until = Instant::now() + START_PATIENCE;
        let version = self.version(until)?;
        for request in describe(version)? {
            self.call(request, until)?;
        }
        check_taps(taps)?;
        self.call(Request::Start, until)?;
        Ok(self.files.remove_initramfs()?)
    }

    /// Waits for the API's socket: told when it is made, and then in short pauses until somebody
    /// listens on it.
    fn connect(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = FIRST_PAUSE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let limit = match self.files.connect()? {
                Connected::Yes(socket) => {
                    self.client = Some(Client::new(socket).map_err(not_connected)?);
                    return Ok(());
                }
                Connected::Absent => left,
                Connected::NotYet => {
                    pause = (pause * 2).min(LAST_PAUSE);
                    left.min(pause)
                }
            };
            if left.is_zero() {
                return Err(Error::NoSocket { patience: PATIENCE });
            }
            let mut fds = [
                PollFd::new(&self.watch, PollFlags::IN),
                PollFd::from_borrowed_fd(self.process.pidfd(), PollFlags::IN),
            ];
            poll(&mut fds, Some(limit)).map_err(|error| not_connected(error.source))?;
            if !fds[1].revents().is_empty() {
                return Err(self.gone(CONNECT.to_owned()));
            }
            // What was made is seen by connecting.
            let _ = rustix::io::read(&self.watch, &mut [0; 1024]);
        }
    }

    fn version(&mut self, until: Instant) -> Result<Version, Error> {
        #[derive(Deserialize)]
        struct Body {
            firecracker_version: String,
        }
        let answer = self.call(Request::Version, until)?;
        let version = match serde_json::from_slice::<Body>(&answer.body) {
            Ok(body) => one_line(&body.firecracker_version),
            Err(_) => "of an unknown version".to_owned(),
        };
        version
            .parse()
            .ok()
            .filter(|known| *known >= Version::OLDEST)
            .ok_or(Error::TooOld { version })
    }

    /// Asks and waits for the answer, which must be a good one.
    fn call(&mut self, request: Request, until: Instant) -> Result<Answer, Error> {
        let attempt = request.purpose();
        if let Some(client) = &mut self.client {
            client.ask(request);
        }
        loop {
            let client = self.client.as_mut().ok_or_else(|| Error::Closed {
                attempt: attempt.clone(),
            })?;
            match client.look(Instant::now()) {
                Ok(answered) => {
                    if let Some((_, answer)) = answered.into_iter().next() {
                        return good(attempt, answer);
                    }
                }
                Err(Error::Closed { .. }) => return Err(self.gone(attempt)),
                Err(error) => return Err(error),
            }
            if Instant::now() >= until {
                let patience = START_PATIENCE;
                return Err(Error::Slow { attempt, patience });
            }
            self.wait_for_answer(&attempt, until)?;
        }
    }

    /// Until the connection has something, the answer or the start is overdue or the process gone. What
    /// the last has said is read by the next look.
    fn wait_for_answer(&self, attempt: &str, until: Instant) -> Result<(), Error> {
        let Some(client) = &self.client else {
            return Ok(());
        };
        let mut flags = PollFlags::IN;
        flags.set(PollFlags::OUT, client.wants_write());
        let mut fds = [PollFd::from_borrowed_fd(client.as_fd(), flags)];
        let next = client.deadline().map_or(until, |at| at.min(until));
        let left = next.saturating_duration_since(Instant::now());
        poll(&mut fds, Some(left))
            .map_err(|error| Error::Connection {
                attempt: attempt.to_owned(),
                source: error.source,
            })
            .map(drop)
    }

    /// It closed the connection: most likely it ends, and then how says more.
    fn gone(&mut self, attempt: String) -> Error {
        match self.process.wait_timeout(END_PATIENCE) {
            Ok(Some(status)) => Error::Ended {
                attempt,
                status,
                words: self.last_words(),
            },
            _ => Error::Closed { attempt },
        }
    }

    /// The last line of its log, or of what it printed.
    fn last_words(&mut self) -> Option<String> {
        self.read_pipes();
        if let Some(line) = self.log_lines.last() {
            return Some(line.to_owned());
        }
        let mut printed = [0; 4096];
        let length = (&self.console).read(&mut printed).unwrap_or(0);
        let text = String::from_utf8_lossy(&printed[..length]);
        let mut lines: Vec<String> = text.lines().map(one_line).collect();
        lines.retain(|line| !line.is_empty());
        lines.pop()
    }

    /// A machine that did not start is taken away before that is told.
    fn abandon(&mut self) {
        self.quit();
        let _ = self.process.wait_timeout(END_PATIENCE);
    }
}

fn not_connected(source: io::Error) -> Error {
    Error::Connection {
        attempt: CONNECT.to_owned(),
        source,
    }
}

/// With what not every VMM gets.
fn given(mut spec: Spec, live: Option<OwnedFd>, log: Option<OwnedFd>) -> Spec {
    if let Some(live) = live {
        spec = spec.pass_fd(live, LIVE);
    }
    if let Some(log) = log {
        spec = spec.stderr(Stdio::Fd(log));
    }
    spec
}

fn good(attempt: String, answer: Answer) -> Result<Answer, Error> {
    if answer.is_success() {
        return Ok(answer);
    }
    Err(Error::Refused {
        attempt,
        fault: answer.fault(),
    })
}

fn requests(
    machine: &Machine,
    paths: &Paths,
    taps: &[NamedTap],
    version: Version,
) -> Result<Vec<Request>, VmmError> {
    let interfaces = taps.iter().map(|tap| Interface {
        tap: &tap.name,
        mac: &tap.mac,
        mtu: tap.mtu,
    });
    let interfaces: Vec<Interface<'_>> = interfaces.collect();
    command::requests(machine, paths, &interfaces, version)
}

fn named_taps(nics: Vec<crate::Nic>) -> Result<Vec<NamedTap>, VmmError> {
    let named = |nic: crate::Nic| match nic.tap {
        Tap::Named { name, index } => Ok(NamedTap {
            name,
            index,
            mac: nic.mac,
            mtu: nic.mtu,
        }),
        Tap::Open(_) => Err(VmmError::BadMachine {
            reason: "Firecracker opens taps by their names".to_owned(),
        }),
    };
    nics.into_iter().map(named).collect()
}

/// Firecracker makes a tap that it does not find: a guest on a network that leads nowhere.
fn check_taps(taps: &[NamedTap]) -> Result<(), Error> {
    if taps.is_empty() {
        return Ok(());
    }
    let netlink = Netlink::open().map_err(Error::Taps)?;
    for tap in taps {
        let there = netlink.link(&tap.name).map_err(Error::Taps)?;
        if there.is_none_or(|link| link.index != tap.index) {
            return Err(Error::ForeignTap {
                name: tap.name.clone(),
            });
        }
    }
    Ok(())
}
