//! The processor, as `/proc/cpuinfo` describes it.

use super::{field, text};

/// The processor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Processor {
    /// What it calls itself; none where it does not say, as most ARM processors.
    pub model: Option<String>,
    /// How many of it this process may use.
    pub count: usize,
    /// Its architecture, as the kernel names it.
    pub architecture: String,
}

impl Processor {
    /// This host's.
    pub fn read() -> Self {
        let described = text("/proc/cpuinfo").unwrap_or_default();
        let uname = rustix::system::uname();
        Self {
            model: model(&described),
            count: std::thread::available_parallelism().map_or(1, usize::from),
            architecture: uname.machine().to_string_lossy().into_owned(),
        }
    }
}

fn model(cpuinfo: &str) -> Option<String> {
    ["model name", "Model", "cpu model"]
        .into_iter()
        .find_map(|name| field(cpuinfo, name))
        .filter(|model| !model.is_empty())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_read_where_there_is_one() {
        let x86 = "processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n";
        assert_eq!(model(x86).as_deref(), Some("AMD EPYC"));
        assert_eq!(model("processor\t: 0\nBogoMIPS\t: 243.75\n"), None);
        assert_eq!(model(""), None);
        assert!(Processor::read().count > 0);
    }
}
