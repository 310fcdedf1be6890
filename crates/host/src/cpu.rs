//! What the processor offers a VMM.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind};

/// The device of hardware virtualisation.
const KVM: &str = "/dev/kvm";

/// Whether a VMM can use hardware virtualisation here, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Virtualisation {
    /// It can.
    Available,
    /// The processor shows none (`vmx`, `svm`). A `/dev/kvm` may be there all the same: some hosts have
    /// a software KVM under which ordinary kernels hang.
    NoFlag,
    /// The processor has it, but there is no `/dev/kvm`.
    NoDevice,
    /// `/dev/kvm` is there, but not for this user.
    Forbidden,
    /// `/dev/kvm` is there and does not open, with this error number.
    Broken(i32),
}

impl Virtualisation {
    /// Whether it can be used.
    pub fn is_available(self) -> bool {
        self == Self::Available
    }

    /// What the person can do about it, if there is something useful to say.
    pub fn hint(self) -> Option<String> {
        let text = match self {
            Self::NoDevice => {
                "load the kernel module: `modprobe kvm_intel` or `modprobe kvm_amd`, and see that the \
                 firmware has virtualisation switched on"
            }
            Self::Forbidden => "run this as root, or as a user of the group kvm",
            Self::Available | Self::NoFlag | Self::Broken(_) => return None,
        };
        Some(text.to_owned())
    }
}

impl std::fmt::Display for Virtualisation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Available => f.write_str("hardware virtualisation is available"),
            Self::NoFlag => f.write_str("the processor shows no hardware virtualisation"),
            Self::NoDevice => write!(f, "{KVM} does not exist"),
            Self::Forbidden => write!(f, "{KVM} may not be opened by this user"),
            Self::Broken(number) => {
                write!(
                    f,
                    "{KVM} does not open: {}",
                    io::Error::from_raw_os_error(*number)
                )
            }
        }
    }
}

/// Whether hardware virtualisation is really there: the processor shows it and `/dev/kvm` opens.
pub fn hardware_virtualisation() -> Virtualisation {
    if cfg!(target_arch = "x86_64") {
        let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        if !shows_virtualisation(&flags) {
            return Virtualisation::NoFlag;
        }
    }
    match OpenOptions::new().read(true).write(true).open(KVM) {
        Ok(_) => Virtualisation::Available,
        Err(error) => judge(&error),
    }
}

/// Whether `/dev/kvm` opens, whatever is behind it.
pub fn opens_kvm() -> bool {
    OpenOptions::new().read(true).write(true).open(KVM).is_ok()
}

fn judge(error: &io::Error) -> Virtualisation {
    match error.kind() {
        ErrorKind::NotFound => Virtualisation::NoDevice,
        ErrorKind::PermissionDenied => Virtualisation::Forbidden,
        // A node without a driver behind it.
        _ if matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ENXIO)) => {
            Virtualisation::NoDevice
        }
        _ => Virtualisation::Broken(error.raw_os_error().unwrap_or(libc::EIO)),
    }
}

/// Whether `/proc/cpuinfo` of an x86 machine has the flag of Intel's or AMD's virtualisation.
fn shows_virtualisation(cpuinfo: &str) -> bool {
    cpuinfo
        .lines()
        .filter_map(|line| line.strip_prefix("flags"))
        .flat_map(str::split_whitespace)
        .any(|flag| flag == "vmx" || flag == "svm")
}

/// Rate of the time stamp counter in kHz, measured against `CLOCK_MONOTONIC_RAW` for 50 ms; none
/// where the processor has no such counter. For `tsc_early_khz`; the caller keeps it.
#[cfg(target_arch = "x86_64")]
pub fn tsc_khz() -> Option<u32> {
    const INTERVAL: std::time::Duration = std::time::Duration::from_millis(50);
    let start = sample();
    std::thread::sleep(INTERVAL);
    let end = sample();
    let cycles = u128::from(end.cycles.wrapping_sub(start.cycles));
    let nanoseconds = u128::from(end.nanoseconds.saturating_sub(start.nanoseconds));
    let khz = (cycles * 1_000_000).checked_div(nanoseconds)?;
    u32::try_from(khz).ok()
}

/// Rate of the time stamp counter: this processor has none.
#[cfg(not(target_arch = "x86_64"))]
pub fn tsc_khz() -> Option<u32> {
    None
}

/// The counter and the clock at one moment.
#[cfg(target_arch = "x86_64")]
struct Sample {
    cycles: u64,
    nanoseconds: u64,
}

/// Takes the pair of readings that lie closest together out of a few: the thread may be interrupted
/// between the two.
#[cfg(target_arch = "x86_64")]
fn sample() -> Sample {
    let mut best: Option<(u64, Sample)> = None;
    for _ in 0..16 {
        let before = cycles();
        let nanoseconds = clock();
        let width = cycles().wrapping_sub(before);
        if best.as_ref().is_none_or(|(least, _)| width < *least) {
            let cycles = before.wrapping_add(width / 2);
            best = Some((
                width,
                Sample {
                    cycles,
                    nanoseconds,
                },
            ));
        }
    }
    best.expect("the loop runs").1
}

#[cfg(target_arch = "x86_64")]
fn cycles() -> u64 {
    // SAFETY: every x86-64 processor has RDTSC, and Linux lets user space execute it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(target_arch = "x86_64")]
fn clock() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicRaw);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_a_whole_word_of_the_flags_line() {
        assert!(shows_virtualisation("flags\t\t: fpu vmx sse\n"));
        assert!(shows_virtualisation("processor\t: 0\nflags\t: fpu svm\n"));
        assert!(!shows_virtualisation(
            "vmx flags\t: ept\nflags\t: fpu svm_lock\n"
        ));
    }

    #[test]
    fn reasons_are_told_apart() {
        let reason = |number| judge(&io::Error::from_raw_os_error(number));
        assert_eq!(reason(libc::ENOENT), Virtualisation::NoDevice);
        assert_eq!(reason(libc::ENODEV), Virtualisation::NoDevice);
        assert_eq!(reason(libc::EACCES), Virtualisation::Forbidden);
        assert_eq!(reason(libc::EBUSY), Virtualisation::Broken(libc::EBUSY));
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn two_measurements_agree() {
        let one = tsc_khz().expect("x86 has a TSC");
        let two = tsc_khz().expect("x86 has a TSC");
        assert!(one > 100_000, "{one} kHz");
        assert!(one.abs_diff(two) < one / 500, "{one} and {two} kHz");
    }
}
