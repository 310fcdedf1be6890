//! The processor, and whether VMs run on it or are translated.

use std::path::Path;

use ignite_host::cpu::Virtualisation;
use ignite_host::probe::{processor::Processor, system};

use super::host::Host;
use super::{Line, Section};
use crate::Config;

const SECTION: Section = Section::Processor;

/// What it costs to run without hardware virtualisation.
const TRANSLATED: &str =
    "QEMU translates every instruction: VMs boot in seconds, and compute many times slower";

struct Facts {
    processor: Processor,
    system: String,
    /// Whether there is a `/dev/kvm`, whatever is behind it.
    has_device: bool,
}

pub(super) fn look(_: &Config, host: &Host) -> Vec<Line> {
    let distribution = system::name().map(|name| format!(", {name}"));
    let facts = Facts {
        processor: Processor::read(),
        system: format!(
            "Linux {}{}",
            system::kernel(),
            distribution.unwrap_or_default()
        ),
        has_device: Path::new("/dev/kvm").exists(),
    };
    judge(&facts, host)
}

fn judge(facts: &Facts, host: &Host) -> Vec<Line> {
    let processor = &facts.processor;
    let model = processor.model.as_deref().unwrap_or("no model name");
    let text = format!("{} x {model}, {}", processor.count, processor.architecture);
    vec![
        Line::good(SECTION, "processor", text),
        Line::good(SECTION, "system", &facts.system),
        kvm(host.kvm, facts.has_device),
    ]
}

fn kvm(kvm: Virtualisation, has_device: bool) -> Line {
    let (kind, remedy) = match kvm {
        Virtualisation::Available => {
            return Line::good(SECTION, "kvm", format!("hardware: {kvm}"));
        }
        Virtualisation::NoFlag if has_device => ("software", FIRMWARE.to_owned()),
        Virtualisation::NoFlag => ("absent", FIRMWARE.to_owned()),
        Virtualisation::NoDevice => ("absent", kvm.hint().unwrap_or_default()),
        Virtualisation::Forbidden => ("forbidden", kvm.hint().unwrap_or_default()),
        Virtualisation::Broken(_) => ("broken", "see `dmesg | grep -i kvm`".to_owned()),
    };
    let unused = match kind {
        "software" => {
            "; the /dev/kvm that is there is taken only when asked for: ordinary kernels hang under it"
        }
        _ => "",
    };
    let detail = format!("{kind}: {kvm}{unused}");
    Line::degraded(SECTION, "kvm", detail, TRANSLATED).remedy(remedy)
}

const FIRMWARE: &str = "switch virtualisation on in the firmware; in a VM, nested virtualisation in its \
                        hypervisor";

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn each_kind_of_kvm_is_told_by_its_name() {
        let told = |virtualisation, has_device| {
            let line = kvm(virtualisation, has_device);
            let kind = line.detail().split(':').next().unwrap_or_default();
            (
                kind.to_owned(),
                line.verdict(),
                line.remedy_text().is_some(),
            )
        };
        let degraded = |kind: &str| (kind.to_owned(), Verdict::Degraded, true);
        assert_eq!(
            told(Virtualisation::Available, true),
            ("hardware".to_owned(), Verdict::Good, false)
        );
        assert_eq!(told(Virtualisation::NoFlag, true), degraded("software"));
        assert_eq!(told(Virtualisation::NoFlag, false), degraded("absent"));
        assert_eq!(told(Virtualisation::NoDevice, false), degraded("absent"));
        assert_eq!(told(Virtualisation::Forbidden, true), degraded("forbidden"));
        assert_eq!(told(Virtualisation::Broken(5), true), degraded("broken"));
    }
}
