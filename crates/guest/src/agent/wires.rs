//! What a program reads from and writes to: pipes, or a terminal.
//!
//! ```text
//!   pipes       input --> stdin      stdout -->      stderr -->
//!
//!   terminal    input --> master == slave: the program's stdin, stdout and stderr
//!               stdout <-- master
//! ```
//!
//! Nothing here blocks. What waits for the program is bounded by the window of its channel.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ignite_wire::agent::{DATA_CHUNK, INITIAL_WINDOW, TerminalSize};
use rustix::buffer::spare_capacity;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, read, write, writev};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{InputModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

use super::talk::Stream;

/// Room in the pipes of a program: each time one is full or empty, the processor goes from the program
/// to the agent, which an interpreted one takes its time for. The kernel gives pages to what is in a
/// pipe, not to its room: a guest pays for the input and output that somebody lets wait, and for no
/// more than 64 MiB with all the programs there may be.
const PIPE_SIZE: usize = INITIAL_WINDOW as usize;

/// What a terminal takes for the end of input (Ctrl-D).
const END_OF_TRANSMISSION: u8 = 4;

/// A new terminal: our side and the program's.
pub struct Terminal {
    master: OwnedFd,
    slave: OwnedFd,
}

impl Terminal {
    /// Opens one of the root's, which is this process's working directory.
    pub fn open(size: TerminalSize) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        // The second where the first is a link that leads out of the root, as this process sees it.
        let master = open("dev/ptmx", flags, Mode::empty())
            .or_else(|_| open("dev/pts/ptmx", flags, Mode::empty()))?;
        unlockpt(&master)?;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let slave = ioctl_tiocgptpeer(&master, flags)?;
        let mut modes = tcgetattr(&slave)?;
        modes.input_modes |= InputModes::IUTF8;
        tcsetattr(&slave, OptionalActions::Now, &modes)?;
        resize(&master, size)?;
        Ok(Self { master, slave })
    }
}

/// The program's side of what it is connected to: its input, output and error output.
pub type Streams = [OwnedFd; 3];

/// Tells a terminal its size; whoever runs in its foreground gets SIGWINCH.
pub fn resize(terminal: impl AsFd, size: TerminalSize) -> io::Result<()> {
    let size = Winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    Ok(tcsetwinsize(terminal, size)?)
}

/// Our side of what a program is connected to.
pub struct Wires {
    input: Option<Input>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    /// The program's side of its terminal, open as long as the program runs: a terminal that nobody has
    /// open for a moment would hang up.
    slave: Option<OwnedFd>,
}

/// Input on its way to the program.
struct Input {
    to: OwnedFd,
    /// As it came, but that small pieces are joined: no more than two for each full one.
    waiting: VecDeque<Vec<u8>>,
    /// How much of the first piece the program has.
    begun: usize,
    ended: bool,
    /// What is written where the input ends; a pipe's end needs nothing.
    farewell: Option<u8>,
}

impl Wires {
    /// New pipes for a program, and its side of them; with `null` in place of an input it is not to have.
    pub fn pipes(input: bool, null: &File) -> io::Result<(Self, Streams)> {
        let pipe = || pipe_with(PipeFlags::CLOEXEC);
        let (stdin, to_stdin) = match input.then(pipe).transpose()? {
            Some((theirs, ours)) => (theirs, Some(ours)),
            None => (null.try_clone()?.into(), None),
        };
        let (from_stdout, stdout) = pipe()?;
        let (from_stderr, stderr) = pipe()?;
        let wires = Self::over(to_stdin, Some(from_stdout), Some(from_stderr))?;
        Ok((wires, [stdin, stdout, stderr]))
    }

    /// Our ends of the pipes of a program's input, output and error output.
    pub fn over(
        input: Option<OwnedFd>,
        stdout: Option<OwnedFd>,
        stderr: Option<OwnedFd>,
    ) -> io::Result<Self> {
        let ours = |end: Option<OwnedFd>| end.map(nonblocking).transpose();
        let (input, stdout) = (ours(input)?, ours(stdout)?);
        for pipe in [&input, &stdout].into_iter().flatten() {
            // One of the usual size carries as much, in more turns.
            let _ = fcntl_setpipe_size(pipe, PIPE_SIZE);
        }
        Ok(Self {
            input: input.map(|pipe| Input::new(pipe, None)),
            stdout,
            stderr: ours(stderr)?,
            slave: None,
        })
    }

    /// The terminal of a program, and the program's side of it.
    pub fn terminal(terminal: Terminal) -> io::Result<(Self, Streams)> {
        let Terminal { master, slave } = terminal;
        let streams = [slave.try_clone()?, slave.try_clone()?, slave.try_clone()?];
        let wires = Self {
            input: Some(Input::new(master.try_clone()?, Some(END_OF_TRANSMISSION))),
            stdout: Some(master),
            stderr: None,
            slave: Some(slave),
        };
        Ok((wires, streams))
    }

    /// The descriptor of a stream, while it is open.
    pub fn descriptor(&self, stream: Stream) -> Option<BorrowedFd<'_>> {
        match stream {
            Stream::Stdin => self.input.as_ref().map(|input| input.to.as_fd()),
            Stream::Stdout => self.stdout.as_ref().map(AsFd::as_fd),
            Stream::Stderr => self.stderr.as_ref().map(AsFd::as_fd),
            Stream::End => None,
        }
    }

    /// Whether input waits for the program.
    pub fn is_feeding(&self) -> bool {
        let waiting = |input: &Input| !input.waiting.is_empty();
        self.input.as_ref().is_some_and(waiting)
    }

    /// Whether all output was read.
    pub fn is_drained(&self) -> bool {
        self.stdout.is_none() && self.stderr.is_none()
    }

    /// Input for the program, which has it when it is fed; how many bytes of the window are free again.
    pub fn take_input(&mut self, data: Vec<u8>) -> usize {
        match &mut self.input {
            Some(input) if !input.ended => {
                input.add(data);
                0
            }
            // The program closed its input, or never had one.
            _ => data.len(),
        }
    }

    /// There is no more input.
    pub fn end_input(&mut self) {
        if let Some(input) = &mut self.input {
            input.ended = true;
            self.close_input_if_over();
        }
    }

    /// Gives the program what input it takes; how many bytes of the window are free again.
    pub fn feed(&mut self) -> usize {
        let Some(input) = &mut self.input else {
            return 0;
        };
        let mut taken = 0;
        while !input.waiting.is_empty() {
            match input.write() {
                Ok(0) | Err(Errno::AGAIN) => break,
                Ok(count) => taken += count,
                Err(Errno::INTR) => {}
                Err(_) => {
                    taken += input.left();
                    self.input = None;
                    return taken;
                }
            }
        }
        self.close_input_if_over();
        taken
    }

    fn close_input_if_over(&mut self) {
        let over = |input: &mut Input| input.ended && input.waiting.is_empty();
        if let Some(input) = self.input.take_if(over)
            && let Some(farewell) = input.farewell
        {
            // A terminal that has no room for it has a program that reads nothing.
            let _ = write(&input.to, &[farewell]);
        }
    }

    /// Reads at most `most` bytes of output. Once the program `has_ended`, an empty stream is the end of
    /// it: others may hold it open, but what the program itself wrote has been read.
    pub fn read(&mut self, stream: Stream, most: usize, has_ended: bool) -> Option<Vec<u8>> {
        let from = match stream {
            Stream::Stderr => &mut self.stderr,
            _ => &mut self.stdout,
        };
        let mut data = Vec::with_capacity(most);
        match read(from.as_ref()?, spare_capacity(&mut data)) {
            Ok(count) if count > 0 => return Some(data),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if !has_ended => {}
            _ => *from = None,
        }
        None
    }

    /// The terminal has another size, if there is one.
    pub fn resize(&self, size: TerminalSize) {
        if let (Some(_), Some(master)) = (&self.slave, &self.stdout) {
            // One that hangs up in this moment needs no size.
            let _ = resize(master, size);
        }
    }

    /// The program is gone: nobody reads input any more, and its terminal may hang up.
    pub fn program_ended(&mut self) {
        self.input = None;
        self.slave = None;
    }

    /// What is still to be read is nobody's.
    pub fn discard(&mut self) {
        self.stdout = None;
        self.stderr = None;
    }
}

impl Input {
    fn new(to: OwnedFd, farewell: Option<u8>) -> Self {
        Self {
            to,
            waiting: VecDeque::new(),
            begun: 0,
            ended: false,
            farewell,
        }
    }

    fn add(&mut self, data: Vec<u8>) {
        match self.waiting.back_mut() {
            Some(last) if last.len() + data.len() <= DATA_CHUNK => last.extend(data),
            _ if data.is_empty() => {}
            _ => self.waiting.push_back(data),
        }
    }

    fn left(&self) -> usize {
        let all: usize = self.waiting.iter().map(Vec::len).sum();
        all - self.begun
    }

    /// Gives the program what it takes of all there is: it is woken once, and not for every piece.
    fn write(&mut self) -> Result<usize, Errno> {
        let pieces: Vec<IoSlice<'_>> = self
            .waiting
            .iter()
            .enumerate()
            .map(|(place, piece)| &piece[if place == 0 { self.begun } else { 0 }..])
            .map(IoSlice::new)
            .collect();
        let written = writev(&self.to, &pieces)?;
        self.begun += written;
        while let Some(piece) = self.waiting.pop_front_if(|piece| piece.len() <= self.begun) {
            self.begun -= piece.len();
        }
        Ok(written)
    }
}

fn nonblocking(pipe: OwnedFd) -> io::Result<OwnedFd> {
    rustix::io::ioctl_fionbio(&pipe, true)?;
    Ok(pipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::{PipeFlags, pipe_with};

    /// What feeds a program, and what the program reads from.
    fn fed() -> (Wires, OwnedFd) {
        let (program, ours) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).expect("a pipe");
        let wires = Wires::over(Some(ours), None, None).expect("wires");
        (wires, program)
    }

    fn read_all(program: &OwnedFd) -> Vec<u8> {
        let mut all = Vec::with_capacity(1 << 20);
        while read(program, spare_capacity(&mut all)).is_ok_and(|count| count > 0) {}
        all
    }

    #[test]
    fn input_waits_for_its_program_in_order() {
        let (mut wires, program) = fed();
        let input: Vec<u8> = (0..INITIAL_WINDOW).map(|place| (place / 7) as u8).collect();
        for piece in input.chunks(10_007) {
            assert_eq!(wires.take_input(piece.to_vec()), 0);
        }
        wires.end_input();
        let (mut fed, mut seen) = (0, Vec::new());
        while wires.input.is_some() {
            fed += wires.feed();
            seen.extend(read_all(&program));
        }
        assert_eq!(fed, input.len());
        assert!(seen == input, "{} bytes came through", seen.len());
        assert_eq!(read(&program, &mut [0; 1]), Ok(0), "the end of the input");
    }

    /// A byte is no piece of its own: what waits costs what it is long.
    #[test]
    fn small_pieces_of_input_are_joined() {
        let (mut wires, _program) = fed();
        for place in 0..INITIAL_WINDOW {
            wires.take_input(vec![place as u8]);
        }
        let input = wires.input.as_ref().expect("input");
        let full = INITIAL_WINDOW as usize / DATA_CHUNK + 1;
        assert_eq!(input.waiting.len(), full);
        assert_eq!(input.left(), INITIAL_WINDOW as usize);
    }

    #[test]
    fn input_for_nobody_is_free_at_once() {
        let (mut wires, program) = fed();
        assert_eq!(wires.take_input(vec![1; 100_000]), 0);
        assert_eq!(wires.feed(), 100_000);
        assert_eq!(wires.take_input(vec![1; INITIAL_WINDOW as usize]), 0);
        let room = INITIAL_WINDOW as usize - 100_000;
        assert!(wires.feed() <= room);
        assert!(wires.is_feeding());
        drop(program);
        // A child that another test forks in this moment has the pipe too, until it becomes a program.
        let mut tries = std::iter::repeat_with(|| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            wires.feed()
        });
        let freed = tries.by_ref().take(500).find(|freed| *freed > 0);
        assert!(freed.is_some_and(|freed| freed >= 100_000), "{freed:?}");
        assert_eq!(wires.take_input(vec![1; 10]), 10);
        assert!(!wires.is_feeding());
    }
}
