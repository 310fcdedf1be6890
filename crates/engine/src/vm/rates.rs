//! How fast a VM's network and disk may be.

use ignite_api::{BitRate, ByteRate, InterfaceName, Limit, UnknownInterface, VmSpec};
use ignite_store::VmRecord;
use ignite_wire::agent::Limits;
use ignite_wire::supervisor::Rate;

/// Other rates, as they are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rates {
    /// Of all interfaces.
    pub network: Option<Limit<BitRate>>,
    /// Of single ones, which go before that.
    pub interfaces: Vec<(InterfaceName, Limit<BitRate>)>,
    /// Of the root disk.
    pub disk: Option<Limit<ByteRate>>,
}

impl Rates {
    /// Puts them into a new VM's specification, whose interfaces are known by now. An interface that
    /// came with a rate of its own keeps that.
    pub fn apply(&self, spec: &mut VmSpec) -> Result<(), UnknownInterface> {
        spec.network.rate = self.network.or(spec.network.rate);
        for (name, rate) in &self.interfaces {
            spec.network.set_rate_of(name, *rate)?;
        }
        spec.disk_rate = self.disk.or(spec.disk_rate);
        Ok(())
    }

    /// Changes a VM that is there: a rate of all is that of each, whatever it had.
    pub(super) fn change(&self, spec: &mut VmSpec) -> Result<(), UnknownInterface> {
        if let Some(rate) = self.network {
            spec.network.set_rate(rate);
        }
        self.apply(spec)
    }
}

/// What a VM may, in bytes.
pub(super) fn limits(record: &VmRecord) -> Limits {
    let interfaces = record.interfaces.iter().enumerate();
    let of_interface = |(index, interface): (usize, &ignite_store::InterfaceRecord)| {
        let rate = record.spec.network.rate_at(index)?;
        let rate = Rate {
            bytes_per_second: rate.bytes_per_second(),
            burst: rate.burst(),
        };
        Some((interface.name.clone(), rate))
    };
    let disk = record.spec.disk_rate.and_then(Limit::rate);
    Limits {
        interfaces: interfaces.filter_map(of_interface).collect(),
        disk: disk.map(|rate| Rate {
            bytes_per_second: rate.bytes_per_second(),
            burst: rate.burst(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keep::diff::tests::{manifest, recorded};
    use ignite_api::InterfaceSpec;

    fn rate<R: std::str::FromStr<Err = ignite_api::RateError>>(text: &str) -> Limit<R> {
        text.parse().expect("a rate")
    }

    fn name(text: &str) -> InterfaceName {
        text.parse().expect("a name")
    }

    #[test]
    fn an_interface_of_its_own_rate_goes_before_all() {
        let mut vm = manifest();
        vm.spec.network.interfaces =
            InterfaceSpec::parse_all(["a", "b:ifname=data,rate=1Gbit", "c"]).expect("valid");
        let rates = Rates {
            network: Some(rate("8Mbit")),
            interfaces: vec![(name("data"), rate("none")), (name("eth2"), rate("80Mbit"))],
            disk: Some(rate("50MB")),
        };
        rates.apply(&mut vm.spec).expect("they are there");
        let limits = limits(&recorded(&vm));
        let found: Vec<_> = limits
            .interfaces
            .iter()
            .map(|(name, rate)| (name.as_str(), rate.bytes_per_second, rate.burst))
            .collect();
        assert_eq!(
            found,
            [
                ("eth0", 1_000_000, 128 << 10),
                ("eth2", 10_000_000, 128 << 10)
            ]
        );
        assert_eq!(limits.disk.expect("a rate").bytes_per_second, 50 << 20);
        let none = Rates {
            network: Some(rate("none")),
            interfaces: Vec::new(),
            disk: Some(rate("0")),
        };
        none.change(&mut vm.spec).expect("no name");
        assert_eq!(super::limits(&recorded(&vm)), Limits::default());
    }

    #[test]
    fn a_new_interface_keeps_the_rate_it_came_with() {
        let mut vm = manifest();
        vm.spec.network.interfaces =
            InterfaceSpec::parse_all(["lan:rate=1Gbit", "wan"]).expect("valid");
        let rates = Rates {
            network: Some(rate("8Mbit")),
            ..Rates::default()
        };
        let found = |vm: &ignite_api::Vm| {
            let limits = limits(&recorded(vm)).interfaces;
            limits
                .into_values()
                .map(|rate| rate.bytes_per_second)
                .collect::<Vec<_>>()
        };
        rates.apply(&mut vm.spec).expect("no name");
        assert_eq!(found(&vm), [125_000_000, 1_000_000]);
        rates.change(&mut vm.spec).expect("no name");
        assert_eq!(found(&vm), [1_000_000, 1_000_000]);
    }

    #[test]
    fn an_interface_that_is_not_there_is_told_with_those_that_are() {
        let mut vm = manifest();
        let of = |text: &str| Rates {
            interfaces: vec![(name(text), rate("8Mbit"))],
            ..Rates::default()
        };
        let error = of("eth1").apply(&mut vm.spec).expect_err("one interface");
        assert_eq!(error.to_string(), "there is no interface eth1");
        assert_eq!(
            error.hint().expect("a hint"),
            "the VM's interfaces are: eth0"
        );
        of("eth0").apply(&mut vm.spec).expect("the default one");
        assert_eq!(limits(&recorded(&vm)).interfaces.len(), 1);
    }
}
