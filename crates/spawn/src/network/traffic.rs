//! What passed through the guest's interfaces, as the kernel counts it at their taps.

use ignite_wire::agent::{Passed, Traffic};

/// The counters of the calling thread's namespace, which is the sandbox.
const TABLE: &str = "/proc/thread-self/net/dev";

/// What passed through each interface of these pairs of interface and tap. What cannot be read is
/// left out.
pub fn read(pairs: &[(String, String)]) -> Vec<Traffic> {
    let table = std::fs::read_to_string(TABLE).unwrap_or_default();
    of(&table, pairs)
}

fn of(table: &str, pairs: &[(String, String)]) -> Vec<Traffic> {
    let traffic = |(interface, tap): &(String, String)| {
        let (tap, network) = (row(table, tap)?, row(table, interface)?);
        // The host sends into a tap what the guest receives. What the tap drops of the guest's is
        // what was refused: nobody else takes it.
        let from_guest = tap.received.errors.saturating_add(network.sent.lost());
        Some(Traffic {
            interface: interface.clone(),
            to_guest: tap.sent.passed(tap.sent.lost()),
            from_guest: tap.received.passed(from_guest),
        })
    };
    pairs.iter().filter_map(traffic).collect()
}

struct Row {
    received: Way,
    sent: Way,
}

/// One direction of a link.
struct Way {
    bytes: u64,
    packets: u64,
    errors: u64,
    dropped: u64,
}

impl Way {
    fn lost(&self) -> u64 {
        self.errors.saturating_add(self.dropped)
    }

    fn passed(&self, lost: u64) -> Passed {
        Passed {
            bytes: self.bytes,
            packets: self.packets,
            lost,
        }
    }
}

/// `name: bytes packets errs drop fifo frame compressed multicast` of what was received, then the
/// same of what was sent.
fn row(table: &str, name: &str) -> Option<Row> {
    let of = |line: &&str| {
        let rest = line.trim_start().strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(':'))
    };
    let (_, numbers) = table.lines().find(of)?.rsplit_once(':')?;
    let numbers: Vec<u64> = numbers
        .split_ascii_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    let way = |at: usize| {
        let numbers = numbers.get(at..)?.first_chunk()?;
        let [bytes, packets, errors, dropped] = *numbers;
        Some(Way {
            bytes,
            packets,
            errors,
            dropped,
        })
    };
    Some(Row {
        received: way(0)?,
        sent: way(8)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEV: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
  eth0:    1006      11    0    0    0     0          0         0     2007      21    0    4    0     0       0          0
  tap0:    3008      31    1    2    0     0          0         0     4009      41    3    5    0     0       0          0
";

    fn pair(interface: &str, tap: &str) -> Vec<(String, String)> {
        vec![(interface.to_owned(), tap.to_owned())]
    }

    #[test]
    fn the_taps_sending_is_the_guests_receiving() {
        let expected = Traffic {
            interface: "eth0".to_owned(),
            to_guest: Passed {
                bytes: 4009,
                packets: 41,
                lost: 8,
            },
            from_guest: Passed {
                bytes: 3008,
                packets: 31,
                lost: 1 + 4,
            },
        };
        assert_eq!(of(DEV, &pair("eth0", "tap0")), [expected]);
    }

    #[test]
    fn what_is_not_there_is_left_out() {
        assert_eq!(of(DEV, &pair("eth0", "tap")), []);
        assert_eq!(of(DEV, &pair("eth1", "tap0")), []);
        assert_eq!(of("tap0: 1 2\neth0: x", &pair("eth0", "tap0")), []);
    }

    #[test]
    fn the_kernels_table_is_read() {
        let name = "lo".to_owned();
        let read = read(&[(name.clone(), name)]);
        assert_eq!(read.len(), 1, "every namespace has a loopback");
    }
}
