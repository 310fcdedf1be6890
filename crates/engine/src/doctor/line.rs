//! A line of the page.

use serde::Serialize;

/// Longest text of a line, in characters: what others say is cut.
const MAX: usize = 400;

/// The part of the page a line belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Section {
    /// The processor and its virtualisation.
    Processor,
    /// The programs a VM runs in.
    Vmm,
    /// Ignite's own programs and its configuration, and tools of others.
    Programs,
    /// Parts of the kernel.
    Kernel,
    /// What a VMM is confined with.
    Confinement,
    /// CNI's plugins.
    Plugins,
    /// Networks of CNI.
    Networks,
    /// The Docker Engine.
    Docker,
    /// Overlays between hosts.
    Overlay,
    /// Disk, memory, time.
    Resources,
    /// What VMs that are gone left.
    Leftovers,
}

impl Section {
    /// As people read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Processor => "processor",
            Self::Vmm => "VMM",
            Self::Programs => "programs",
            Self::Kernel => "kernel",
            Self::Confinement => "confinement",
            Self::Plugins => "CNI plugins",
            Self::Networks => "networks",
            Self::Docker => "docker",
            Self::Overlay => "overlay",
            Self::Resources => "resources",
            Self::Leftovers => "leftovers",
        }
    }
}

/// How good it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing to say.
    Good,
    /// It works, and costs something; or it cannot be seen.
    Degraded,
    /// It is not there, or does not work.
    Missing,
}

/// One thing and what was found of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    section: Section,
    name: String,
    verdict: Verdict,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    costs: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
    #[serde(skip)]
    essential: bool,
}

impl Line {
    /// It is as it should be.
    pub fn good(section: Section, name: impl AsRef<str>, detail: impl AsRef<str>) -> Self {
        Self {
            section,
            name: plain(name.as_ref()),
            verdict: Verdict::Good,
            detail: plain(detail.as_ref()),
            costs: None,
            remedy: None,
            essential: false,
        }
    }

    /// It costs something.
    pub fn degraded(
        section: Section,
        name: impl AsRef<str>,
        detail: impl AsRef<str>,
        costs: impl AsRef<str>,
    ) -> Self {
        Self {
            verdict: Verdict::Degraded,
            costs: Some(plain(costs.as_ref())),
            ..Self::good(section, name, detail)
        }
    }

    /// It does not work until something is done.
    pub fn missing(
        section: Section,
        name: impl AsRef<str>,
        detail: impl AsRef<str>,
        remedy: impl AsRef<str>,
    ) -> Self {
        Self {
            verdict: Verdict::Missing,
            ..Self::good(section, name, detail)
        }
        .remedy(remedy)
    }

    /// Only root sees it.
    pub fn hidden(section: Section, name: impl AsRef<str>, detail: impl AsRef<str>) -> Self {
        Self::degraded(
            section,
            name,
            detail,
            "this is not for a normal user to see",
        )
        .remedy("run it with sudo to see more: `sudo ignite doctor`")
    }

    /// The same, with what to do.
    #[must_use]
    pub fn remedy(self, remedy: impl AsRef<str>) -> Self {
        Self {
            remedy: Some(plain(remedy.as_ref())),
            ..self
        }
    }

    /// The same, without which no VM runs.
    #[must_use]
    pub fn essential(self) -> Self {
        Self {
            essential: true,
            ..self
        }
    }

    /// The part of the page.
    pub fn section(&self) -> Section {
        self.section
    }

    /// What it is about, by a name that stays.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How good it is.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// What was found.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// What it costs that it is degraded.
    pub fn costs(&self) -> Option<&str> {
        self.costs.as_deref()
    }

    /// What to do about it.
    pub fn remedy_text(&self) -> Option<&str> {
        self.remedy.as_deref()
    }

    /// Whether no VM runs because of it.
    pub(super) fn prevents(&self) -> bool {
        self.essential && self.verdict == Verdict::Missing
    }
}

/// Text in one line that does nothing to a terminal: names of files and words of plugins are in it.
fn plain(text: &str) -> String {
    let harmless = |c: char| if c.is_control() { ' ' } else { c };
    let mut plain: String = text.chars().take(MAX).map(harmless).collect();
    if text.chars().nth(MAX).is_some() {
        plain.push_str("...");
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_is_one_harmless_line() {
        let said = format!("bad\x1b[2J\nname{}", "x".repeat(2 * MAX));
        let line = Line::good(Section::Networks, &said, &said);
        assert!(
            line.detail().starts_with("bad [2J namexx"),
            "{}",
            line.detail()
        );
        assert_eq!(line.detail().len(), MAX + 3);
        assert!(!line.name().contains('\x1b'));
    }

    #[test]
    fn programs_read_five_or_six_fields() {
        let line = Line::degraded(Section::Vmm, "qemu", "old", "speed").essential();
        let json = serde_json::to_value(line.remedy("newer")).expect("a value");
        assert_eq!(
            json,
            serde_json::json!({
                "section": "vmm", "name": "qemu", "verdict": "degraded", "detail": "old",
                "costs": "speed", "remedy": "newer",
            })
        );
    }
}
