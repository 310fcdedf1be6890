//! What a VMM must be refused, outside of a VMM's place.

use std::io::Write as _;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use ignite_testkit::mischief::probe;

use super::Failure;

/// Makes the attempt of this number, and tells as a stand-in does.
pub(super) fn one(number: &str, aims: &str) -> Result<(), Failure> {
    println!("{}", probe::single(number.parse()?, aims)?);
    Ok(())
}

/// Listens on an abstract socket.
pub(super) fn hear(name: &str) -> Result<(), Failure> {
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
    println!("hearing");
    std::io::stdout().flush()?;
    for stream in listener.incoming() {
        drop(stream?);
    }
    Ok(())
}
