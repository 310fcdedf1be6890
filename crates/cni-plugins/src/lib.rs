//! CNI plugins that come with Ignite: `flannel`.
//!
//! ```text
//!   runtime --CNI_* variables, configuration--> skeleton --Call--> a plugin
//!           <--result or error object, status-- Answer  <--Said--
//! ```
//!
//! One program (`ignite-cni`) holds them all and is the plugin whose name it is called by. Nothing
//! here prints or ends the process: what is to be printed is a value until the program prints it.

pub mod flannel;
pub mod skeleton;

use std::ffi::{OsStr, OsString};
use std::path::Path;

pub use skeleton::{Answer, Plugin, answer};

/// Every plugin.
pub const PLUGINS: [&dyn Plugin; 1] = [&flannel::Flannel];

/// The plugin a command line asks for: by the program's own name, else by the first argument.
pub fn choose(arguments: &[OsString]) -> Option<&'static dyn Plugin> {
    let own_name = arguments
        .first()
        .and_then(|path| Path::new(path).file_name());
    let names: [Option<&OsStr>; 2] = [own_name, arguments.get(1).map(OsString::as_os_str)];
    let named = |name: &OsStr| PLUGINS.into_iter().find(|plugin| plugin.name() == name);
    names.into_iter().flatten().find_map(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_chosen_by_the_programs_name_or_the_first_argument() {
        let chosen = |words: &[&str]| {
            let arguments: Vec<OsString> = words.iter().map(OsString::from).collect();
            choose(&arguments).map(|plugin| plugin.name())
        };
        assert_eq!(chosen(&["/opt/cni/bin/flannel"]), Some("flannel"));
        assert_eq!(chosen(&["flannel", "x"]), Some("flannel"));
        assert_eq!(chosen(&["ignite-cni", "flannel"]), Some("flannel"));
        assert_eq!(chosen(&["ignite-cni", "x", "flannel"]), None);
        assert_eq!(chosen(&["ignite-cni"]), None);
        assert_eq!(chosen(&[]), None);
    }
}
