//! Many bytes through one connection.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::Failure;

/// A connection that stands still for longer is dead.
const PATIENCE: Duration = Duration::from_secs(30);

/// The bytes of a stream from its beginning: no two of its first 250 packets are alike.
fn byte(at: u64) -> u8 {
    (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
}

/// How many bytes the first line of a request asks for, if it does.
pub(super) fn wanted(request: &str) -> Option<u64> {
    let path = request.split(' ').nth(1)?;
    path.strip_prefix("/stream/")?.parse().ok()
}

/// The answer to that.
pub(super) fn give(mut stream: TcpStream, bytes: u64) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "HTTP/1.0 200 OK\r\nContent-Length: {bytes}\r\nConnection: close\r\n\r\n"
    )?;
    let mut sent = 0;
    while sent < bytes {
        let end = bytes.min(sent + 65_536);
        let chunk: Vec<u8> = (sent..end).map(byte).collect();
        stream.write_all(&chunk)?;
        sent = end;
    }
    Ok(())
}

/// Takes so many bytes, and compares each.
pub(super) fn take(server: &str, bytes: u64) -> Result<(), Failure> {
    let address: SocketAddr = server.parse()?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET /stream/{bytes} HTTP/1.0\r\n\r\n")?;
    let began = Instant::now();
    let (mut last, mut pause) = (began, Duration::ZERO);
    let mut chunk = vec![0; 65_536];
    let mut head = Vec::new();
    let (mut taken, mut in_body) = (0u64, false);
    loop {
        let read = stream.read(&mut chunk)?;
        pause = pause.max(last.elapsed());
        last = Instant::now();
        if read == 0 {
            break;
        }
        let mut part = &chunk[..read];
        let begin;
        if !in_body {
            head.extend_from_slice(part);
            let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else {
                continue;
            };
            in_body = true;
            begin = head.split_off(end + 4);
            part = &begin;
        }
        for (at, found) in (taken..).zip(part) {
            if *found != byte(at) {
                return Err(format!("byte {at} is another").into());
            }
        }
        taken += part.len() as u64;
    }
    if taken != bytes {
        return Err(format!("{taken} bytes came of {bytes}").into());
    }
    println!(
        "{taken} bytes in {} ms, longest pause {} ms",
        began.elapsed().as_millis(),
        pause.as_millis()
    );
    Ok(())
}
