//! The endpoint at which hosts join: whether it can be connected to.

use std::io;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::Place;
use super::trouble::{Kind, Trouble};

/// For the name, and for the connection.
const LIMIT: Duration = Duration::from_secs(2);

/// Connects, and hangs up.
pub(super) async fn ask(place: &Place) -> Option<Trouble> {
    let entrance = place.entrance.as_deref()?;
    let connect = async {
        let addresses: Vec<_> = lookup_host(entrance).await?.collect();
        TcpStream::connect(addresses.as_slice()).await.map(drop)
    };
    match timeout(LIMIT, connect).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(trouble(entrance, &error)),
        Err(_) => Some(trouble(entrance, &io::ErrorKind::TimedOut.into())),
    }
}

fn trouble(entrance: &str, error: &io::Error) -> Trouble {
    let (host, port) = entrance.rsplit_once(':').unwrap_or((entrance, "2378"));
    let (text, remedy) = match error.kind() {
        io::ErrorKind::ConnectionRefused => (
            format!("{host} refuses connections to {port}/tcp: no host can join there"),
            format!(
                "start the agent on {host}, the first host of the overlay: ignite overlay start"
            ),
        ),
        io::ErrorKind::TimedOut => (
            format!(
                "{port}/tcp of {host} does not answer: a packet filter drops it, or the host is down"
            ),
            format!("open {port}/tcp on {host} for hosts that join, and see that it runs"),
        ),
        _ => (
            format!("{host} cannot be reached at {port}/tcp, where hosts join: {error}"),
            format!("check the name or address {host}, and this host's routes to it"),
        ),
    };
    Trouble::new(Kind::EntranceUnreachable, text, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_hosts_from_joining_is_told() {
        let told = |kind: io::ErrorKind| {
            let trouble = trouble("first.example:2378", &kind.into());
            format!("{} | {}", trouble.text, trouble.remedy)
        };
        insta::assert_snapshot!(told(io::ErrorKind::ConnectionRefused), @"first.example refuses connections to 2378/tcp: no host can join there | start the agent on first.example, the first host of the overlay: ignite overlay start");
        insta::assert_snapshot!(told(io::ErrorKind::TimedOut), @"2378/tcp of first.example does not answer: a packet filter drops it, or the host is down | open 2378/tcp on first.example for hosts that join, and see that it runs");
        insta::assert_snapshot!(told(io::ErrorKind::HostUnreachable), @"first.example cannot be reached at 2378/tcp, where hosts join: host unreachable | check the name or address first.example, and this host's routes to it");
    }
}
