//! A service whose answer names its machine, so that a test sees *who*
//! answered, and whom that one saw.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use super::{Failure, stream};

/// Ports of TCP and UDP where none are named.
const PORTS: &[u16] = &[53, 80, 443, 7000, 9000, 9001, 9002, 9003];

pub(super) fn forever(ports: &[&str]) -> Result<(), Failure> {
    let mut chosen: Vec<u16> = ports
        .iter()
        .map(|port| port.parse())
        .collect::<Result<_, _>>()?;
    if chosen.is_empty() {
        chosen.extend(PORTS);
    }
    for port in &chosen {
        // Dual-stack where the machine has IPv6, IPv4 alone elsewhere.
        let tcp =
            TcpListener::bind(("::", *port)).or_else(|_| TcpListener::bind(("0.0.0.0", *port)))?;
        let udp =
            UdpSocket::bind(("::", *port)).or_else(|_| UdpSocket::bind(("0.0.0.0", *port)))?;
        let port = *port;
        thread::spawn(move || serve_tcp(&tcp, port));
        thread::spawn(move || serve_udp(&udp, port));
    }
    println!("serving as {} on {chosen:?}", hostname());
    loop {
        thread::park();
    }
}

/// `<hostname> <port> <address of the peer>`.
fn answer(port: u16, peer: SocketAddr) -> String {
    format!("{} {port} {}\n", hostname(), peer.ip().to_canonical())
}

fn hostname() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

fn serve_tcp(listener: &TcpListener, port: u16) {
    for stream in listener.incoming().flatten() {
        thread::spawn(move || {
            // A peer that hangs up is its own affair.
            let _ = serve_one(stream, port);
        });
    }
}

fn serve_one(mut stream: TcpStream, port: u16) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let body = answer(port, stream.peer_addr()?);
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    // The request's head ends with an empty line.
    while !lines.next().transpose()?.unwrap_or_default().is_empty() {}
    if let Some(bytes) = stream::wanted(&request) {
        return stream::give(stream, bytes);
    }
    write!(
        stream,
        "HTTP/1.0 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn serve_udp(socket: &UdpSocket, port: u16) {
    let mut packet = [0; 2048];
    while let Ok((_, peer)) = socket.recv_from(&mut packet) {
        let _ = socket.send_to(answer(port, peer).as_bytes(), peer);
    }
}
