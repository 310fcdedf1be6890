//! Sessions of a person at a terminal: programs in a VM, its console, keys, sizes and signals.

mod console;
mod programs;
mod silent;
mod ssh;
mod streams;
mod trouble;

use anyhow::Result;
use ignite_testkit::{Terminal, place};

use crate::support::{SOON, Vm};

/// Rows and columns of every terminal here.
const SIZE: (u16, u16) = (31, 97);

/// The keys that leave a session.
const LEAVE: &[u8] = b"\x10\x11";

/// `ignite exec -it VM -- COMMAND`, at a terminal.
fn exec(vm: &Vm<'_>, command: &[&str]) -> Result<Terminal> {
    let words = ["exec", "-it", vm.uid.as_str(), "--"];
    let words = words.iter().chain(command).copied();
    at_terminal(vm.host.ignite(words))
}

/// `ignite attach VM`, at a terminal.
fn attach(vm: &Vm<'_>) -> Result<Terminal> {
    at_terminal(vm.host.ignite(["attach", &vm.uid]))
}

fn at_terminal(command: ignite_testkit::Invocation) -> Result<Terminal> {
    command.env("TERM", "xterm").at_terminal(SIZE.0, SIZE.1)
}

/// A VM whose console is a shell's.
fn with_shell<'h>(host: &'h ignite_testkit::Host, options: &[&str]) -> Result<Vm<'h>> {
    let vm = Vm::run_image(host, options, &place::image("busy")?, &["/bin/sh"])?;
    vm.wait_exec("its agent", &["true"])?;
    Ok(vm)
}

/// Types a line, and waits for what it prints; what is waited for must not be in the line itself, which
/// is echoed.
fn ask(terminal: &mut Terminal, line: &str, answer: &str) -> Result<()> {
    terminal.type_in(format!("{line}\r"))?;
    terminal.wait_for(answer, SOON)
}
