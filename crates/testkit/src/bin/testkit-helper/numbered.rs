//! Datagrams that are numbered, so that the loss of a single one is seen.

use std::io::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Failure;

/// None comes for so long: no further one will.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of each.
const SIZE: usize = 200;

/// Sends `count` of them, `rate` a second.
pub(super) fn pour(server: &str, count: u32, rate: u32) -> Result<(), Failure> {
    let address: SocketAddr = server.parse()?;
    let socket = UdpSocket::bind(match address {
        SocketAddr::V4(_) => "0.0.0.0:0",
        SocketAddr::V6(_) => "[::]:0",
    })?;
    let began = Instant::now();
    for number in 0..count {
        let due = Duration::from_secs(1) * number / rate;
        sleep(due.saturating_sub(began.elapsed()));
        let mut datagram = [0; SIZE];
        datagram[..4].copy_from_slice(&number.to_be_bytes());
        socket.send_to(&datagram, address)?;
    }
    Ok(())
}

/// Takes `count` of them, in order.
pub(super) fn collect(port: u16, count: u32) -> Result<(), Failure> {
    let socket = UdpSocket::bind(("0.0.0.0", port))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    println!("collecting");
    std::io::stdout().flush()?;
    for expected in 0..count {
        let mut datagram = [0; SIZE];
        let received = socket.recv(&mut datagram);
        received.map_err(|error| format!("{expected} of {count} came, then none: {error}"))?;
        let [a, b, c, d, ..] = datagram;
        let number = u32::from_be_bytes([a, b, c, d]);
        if number != expected {
            return Err(format!("{number} came where {expected} is due").into());
        }
    }
    println!("{count} came");
    Ok(())
}
