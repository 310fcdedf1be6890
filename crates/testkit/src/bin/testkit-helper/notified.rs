//! In systemd's place: prints what a service tells of itself.

use std::io::Write as _;
use std::os::unix::net::UnixDatagram;

use super::Failure;

pub(super) fn forever(path: &str) -> Result<(), Failure> {
    let socket = UnixDatagram::bind(path)?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "listening")?;
    stdout.flush()?;
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer)?;
        writeln!(stdout, "{}", String::from_utf8_lossy(&buffer[..length]))?;
        stdout.flush()?;
    }
}
