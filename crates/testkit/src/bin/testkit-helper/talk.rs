//! The other end of `serve`: one question, the answer on stdout.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use super::Failure;

/// How long a connection may take to open, and an answer to come. Short: a
/// dropped packet is a refusal for a test, and waiting is the test's affair.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn get(server: &str, path: &str) -> Result<(), Failure> {
    let address: SocketAddr = server.parse()?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {server}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or("the answer is not HTTP")?;
    if !head.contains(" 200 ") {
        return Err(format!("the server said {head}").into());
    }
    print!("{body}");
    Ok(())
}

pub(super) fn ask(server: &str) -> Result<(), Failure> {
    let address: SocketAddr = server.parse()?;
    let socket = UdpSocket::bind(if address.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    })?;
    // Connected: answers of others and ICMP refusals are told apart.
    socket.connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(b"who are you?\n")?;
    let mut answer = [0; 2048];
    let length = socket.recv(&mut answer)?;
    print!("{}", String::from_utf8_lossy(&answer[..length]));
    Ok(())
}
