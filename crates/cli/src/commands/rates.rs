//! `--net-rate` and `--disk-rate`: how fast a VM may be.

use clap::Args;
use ignite_api::{BitRate, ByteRate, InterfaceName, Limit};
use ignite_engine::Rates;

use crate::values::{self, value};

/// The rates of a VM.
#[derive(Debug, Args)]
pub struct RateArgs {
    /// How fast interfaces may be, each way: 10Mbit, 1Gbit, 10M for megabits a second; none for no limit (repeatable)
    ///
    /// After a name and an equals sign, one interface's: eth1=10Mbit. After a colon, how much may go at
    /// once after a pause: 10Mbit:256KB.
    #[arg(long, value_name = "[IFACE=]RATE[:BURST]", value_parser = net_rate)]
    net_rate: Vec<NetRate>,

    /// How fast the root disk may be, reads and writes together: 50MB, 1GB a second; none for no limit
    ///
    /// After a colon, how much may go at once after a pause, at least as much as in a second: 50MB:200MB.
    #[arg(long, value_name = "RATE[:BURST]", value_parser = values::DISK_RATE)]
    disk_rate: Option<Limit<ByteRate>>,
}

/// One `--net-rate`.
#[derive(Debug, Clone)]
struct NetRate {
    interface: Option<InterfaceName>,
    rate: Limit<BitRate>,
}

fn net_rate(text: &str) -> Result<NetRate, String> {
    let (interface, rate) = match text.split_once('=') {
        Some((name, rate)) => (Some(value(name)?), rate),
        None => (None, text),
    };
    let rate = value(rate)?;
    Ok(NetRate { interface, rate })
}

impl RateArgs {
    /// As the engine takes them. Of the same thing the last one holds; single interfaces go before all.
    pub fn rates(self) -> Rates {
        let mut rates = Rates {
            disk: self.disk_rate,
            ..Rates::default()
        };
        for NetRate { interface, rate } in self.net_rate {
            match interface {
                Some(name) => rates.interfaces.push((name, rate)),
                None => rates.network = Some(rate),
            }
        }
        rates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_stands_before_the_rate() {
        let one = net_rate("eth1=10Mbit:256KB").expect("valid");
        assert_eq!(one.interface.expect("a name").as_str(), "eth1");
        assert_eq!(one.rate.to_string(), "10Mbit:256KB");
        let all = net_rate("none").expect("valid");
        assert_eq!((all.interface, all.rate), (None, Limit::Unlimited));
        for wrong in ["", "=10Mbit", "eth1=", "../x=10Mbit", "10MB", "eth1=10mbps"] {
            let fault = net_rate(wrong).expect_err(wrong);
            assert!(fault.contains("\nhint: "), "{wrong}: {fault}");
        }
    }
}
