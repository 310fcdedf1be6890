//! What the end-to-end tests run inside hosts and VMs: one static program, so
//! that it runs in an image that holds nothing else.
//!
//! ```text
//! hold                       first process of a host; ends it when stdin ends
//! serve [PORT...]            answers TCP (as HTTP/1.0) and UDP with its own name
//! get ADDRESS:PORT [PATH]    what a server answers
//! ask ADDRESS:PORT           what a UDP server answers
//! take ADDRESS:PORT BYTES    so many bytes of a server, compared; prints the longest pause in ms
//! pour ADDRESS:PORT N RATE   N numbered datagrams, so many a second
//! collect PORT N             takes those; fails if one is missing or comes too late
//! dns ADDRESS NAME=IPV4...   a name server that knows these names
//! sniff                      prints every DHCP packet of every interface
//! sniff WORD                 prints every frame that holds the word, from behind it
//! send INTERFACE HEX...      sends these ethernet frames
//! notified SOCKET            prints what a service tells systemd
//! time N PROGRAM [ARG...]    milliseconds each of N runs takes
//! copy CODE                  gives back its input, and ends with that code
//! vsock PORT                 gives back what the host sends to that vsock port
//! attempt N AIMS             one of all that a VMM must be refused
//! hear NAME                  takes whoever connects to that abstract socket
//! groups                     control groups of version 2 as the product makes them
//! in-group WHAT GROUP        joins it, and is a hog, a bomb or a burner
//! hold-still                 does nothing
//! tree PATH...               files with all their attributes, for comparison
//! below PATH                 the same of what is below it, with times, by names of any bytes
//! odd-tree PATH FILES        a tree of so many files with odd names, links and modes
//! ```

mod attempt;
mod dns;
mod groups;
mod hold;
mod notified;
mod numbered;
mod odd;
mod send;
mod serve;
mod sniff;
mod stream;
mod talk;
mod time;
mod tree;
mod vsock;

use std::process::ExitCode;

/// Any failure, for a person who reads a test's output.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("testkit-helper: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<(), Failure> {
    match words {
        ["hold"] => hold::until_stdin_ends(),
        ["serve", ports @ ..] => serve::forever(ports),
        ["get", server] => talk::get(server, "/"),
        ["get", server, path] => talk::get(server, path),
        ["ask", server] => talk::ask(server),
        ["take", server, bytes] => stream::take(server, bytes.parse()?),
        ["pour", server, count, rate] => numbered::pour(server, count.parse()?, rate.parse()?),
        ["collect", port, count] => numbered::collect(port.parse()?, count.parse()?),
        ["dns", address, names @ ..] => dns::forever(address, names),
        ["sniff"] => sniff::until_stdin_ends(sniff::dhcp),
        ["sniff", word] => sniff::until_stdin_ends(|frame| sniff::behind(frame, word)),
        ["send", interface, frames @ ..] => send::frames(interface, frames),
        ["notified", socket] => notified::forever(socket),
        ["time", runs, argv @ ..] => time::each_run(runs, argv),
        ["copy", code] => vsock::copy(code),
        ["vsock", port] => vsock::echo(port),
        ["attempt", number, aims] => attempt::one(number, aims),
        ["hear", name] => attempt::hear(name),
        ["groups"] => groups::check(),
        ["in-group", what, group] => groups::inside(what, group),
        ["hold-still"] => groups::hold_still(),
        ["tree", paths @ ..] => tree::print(paths),
        ["below", path] => tree::print_below(path),
        ["odd-tree", path, files] => odd::make(path, files.parse()?),
        _ => Err(format!("cannot do {words:?}").into()),
    }
}
