//! How fast a VM's network and disk may be: in its record, and of a VM that runs at once.
//!
//! ```text
//!   recorded: this run may have others --> its supervisor is asked --> recorded: these hold
//!                                 killed here, or without an answer: the next command that reads the
//!                                 rates gives the run those of the record
//! ```

use ignite_api::{BitRate, ByteRate, InterfaceName, Limit, Uid, UnknownInterface, VmSpec};
use ignite_host::step::{self, Step};
use ignite_store::{Liveness, StatusRecord, VmLock, VmRecord};
use ignite_wire::agent::{Limits, Message};
use ignite_wire::supervisor::Rate;
use jiff::Timestamp;

use super::{control, pause};
use crate::{Done, Engine, Error};

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
    fn change(&self, spec: &mut VmSpec) -> Result<(), UnknownInterface> {
        if let Some(rate) = self.network {
            spec.network.set_rate(rate);
        }
        self.apply(spec)
    }
}

impl Engine {
    /// Gives a VM other rates.
    pub fn change_rates(&self, text: &str, rates: &Rates) -> Result<Done, Error> {
        let uid = self.vms.resolve(text)?;
        let lock = self.vms.lock(uid)?;
        let mut record = lock.record()?;
        let mut wanted = record.spec.clone();
        rates.change(&mut wanted)?;
        self.set_rates(&lock, &mut record, &wanted)?;
        Ok(Done {
            uid,
            name: record.name,
            what: "updated",
        })
    }

    /// Takes over the rates of `wanted`. The running VM first: where that fails, all is as it was.
    pub(crate) fn set_rates(
        &self,
        lock: &VmLock,
        record: &mut VmRecord,
        wanted: &VmSpec,
    ) -> Result<(), Error> {
        let mut changed = record.clone();
        changed.spec.network.take_rates(&wanted.network);
        changed.spec.disk_rate = wanted.disk_rate;
        changed.rates_pending = None;
        if self.runs(lock)? {
            let former = record.rates_pending;
            record.rates_pending = lock.status()?.started;
            lock.write_record(record)?;
            step::reached(Step::RatesIntended);
            let limited = self.limit(&changed);
            step::reached(Step::RatesAnswered);
            if let Err(source) = limited
                // One that ended in this moment has them from its next start on.
                && self.runs(lock)?
            {
                return self.not_changed(lock, record, former, source);
            }
        }
        *record = changed;
        Ok(lock.write_record(record)?)
    }

    /// A VM that says so has what it had; of any other nobody knows.
    fn not_changed(
        &self,
        lock: &VmLock,
        record: &mut VmRecord,
        former: Option<Timestamp>,
        source: control::Error,
    ) -> Result<(), Error> {
        if matches!(source, control::Error::Refused { .. }) {
            record.rates_pending = former;
            lock.write_record(record)?;
        }
        let name = record.name.to_string();
        Err(Error::RatesNotChanged { name, source })
    }

    /// Where a change was cut off, gives the VM the rates of its record again. One that somebody is at
    /// work on is left to him.
    pub(crate) fn settle_rates(&self, uid: Uid) -> Result<(), Error> {
        if !is_cut_off(&self.vms.get(uid)?, &self.vms.status(uid)?) {
            return Ok(());
        }
        let Some(lock) = self.vms.try_lock(uid)? else {
            return Ok(());
        };
        let mut record = lock.record()?;
        if is_cut_off(&record, &lock.status()?) {
            tracing::info!(%uid, "a change of the VM's rates was cut off");
            let recorded = record.spec.clone();
            self.set_rates(&lock, &mut record, &recorded)?;
        }
        Ok(())
    }

    fn runs(&self, lock: &VmLock) -> Result<bool, Error> {
        let is_held = Liveness::is_held(&self.config.paths, lock.uid())?;
        Ok(is_held && lock.status()?.state.is_live())
    }

    fn limit(&self, record: &VmRecord) -> Result<(), control::Error> {
        let run_dir = self.config.paths.vm_run(record.uid);
        pause::ask(&run_dir, Message::Limit(limits(record))).map(drop)
    }
}

/// Whether the VM's present run may have other rates than its record: a change was cut off.
pub(crate) fn is_cut_off(record: &VmRecord, status: &StatusRecord) -> bool {
    let pending = record.rates_pending;
    pending.is_some_and(|since| status.state.is_live() && status.started == Some(since))
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
