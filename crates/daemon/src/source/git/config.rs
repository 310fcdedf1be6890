//! The configuration git runs with: ours alone, written anew at each start. Neither the system's nor
//! the user's is read, so nobody's filter, hook, helper or alias has a part in it.

use std::path::Path;

use super::options::Options;
use super::remote::Scheme;

/// The descriptor under which git and its helpers find the credentials.
pub(super) const CREDENTIALS_FD: i32 = 3;

/// What git is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Fetching and looking at what was fetched.
    Read,
    /// Pushing.
    Write,
}

/// The text of the configuration file.
pub(super) fn text(options: &Options, access: Access) -> String {
    let mut text = String::from(FIXED);
    let scheme = options.remote.scheme();
    section(
        &mut text,
        &format!("protocol \"{}\"", scheme.name()),
        &[("allow", "always")],
    );
    if access == Access::Read {
        // Serving a fetch runs nothing of the repository's choice, whoever owns it; taking a push
        // runs its hooks, which only those of its owner may.
        section(&mut text, "safe", &[("directory", "*")]);
        section(&mut text, "core", &[("hooksPath", "/dev/null")]);
    }
    if scheme == Scheme::Https {
        https(&mut text, options);
    }
    let signers = options.signers.as_ref();
    if let Some(file) = signers.and_then(|signers| signers.allowed.as_deref()) {
        section(
            &mut text,
            "gpg \"ssh\"",
            &[("allowedSignersFile", &show(file))],
        );
    }
    text
}

/// Nothing happens by itself, nothing is looked into, and no scheme is taken that is not named.
const FIXED: &str = "\
[protocol]
\tallow = never
[fetch]
\trecurseSubmodules = false
\twriteCommitGraph = false
[gc]
\tauto = 0
[maintenance]
\tauto = false
[core]
\tfsmonitor = false
\tlogAllRefUpdates = false
[pack]
\tthreads = 1
";

/// The credentials are for the server of the address alone, not for one it redirects to.
fn https(text: &mut String, options: &Options) {
    let mut http = vec![("lowSpeedLimit", "1".to_owned())];
    http.push(("lowSpeedTime", options.timeout.as_secs().max(1).to_string()));
    if let Some(path) = &options.ca_file {
        http.push(("sslCAInfo", show(path)));
    }
    let lines: Vec<(&str, &str)> = http
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    section(text, "http", &lines);
    if options.credentials.is_some() {
        let helper =
            format!("!f() {{ test \"$1\" != get || cat /proc/self/fd/{CREDENTIALS_FD}; }}; f");
        let name = format!(
            "credential {}",
            quoted(&format!("https://{}", options.remote.host()))
        );
        section(text, &name, &[("helper", &helper)]);
    }
}

fn section(text: &mut String, name: &str, lines: &[(&str, &str)]) {
    text.push_str(&format!("[{name}]\n"));
    for (key, value) in lines {
        text.push_str(&format!("\t{key} = {}\n", quoted(value)));
    }
}

/// In quotes, as git-config(1) reads them.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Paths were checked to be text without control characters.
fn show(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::git::secret::{Credentials, PasswordSource, Secret};
    use crate::source::git::tests::options;

    #[test]
    fn an_https_repository_with_a_password() {
        let mut options = options("https://example.org:8443/vms.git", "/data");
        options.ca_file = Some("/etc/my \"ca\"/ca.pem".into());
        options.credentials = Some(Credentials {
            user: "me".to_owned(),
            password: PasswordSource::Known(Secret::new("hunter2")),
        });
        let text = text(&options, Access::Read);
        assert!(!text.contains("hunter2"));
        let own = text.strip_prefix(FIXED).expect("the fixed part is first");
        insta::assert_snapshot!(own, @r#"
        [protocol "https"]
        	allow = "always"
        [safe]
        	directory = "*"
        [core]
        	hooksPath = "/dev/null"
        [http]
        	lowSpeedLimit = "1"
        	lowSpeedTime = "20"
        	sslCAInfo = "/etc/my \"ca\"/ca.pem"
        [credential "https://example.org:8443"]
        	helper = "!f() { test \"$1\" != get || cat /proc/self/fd/3; }; f"
        "#);
    }

    #[test]
    fn a_push_trusts_only_its_own() {
        let options = options("file:///srv/vms.git", "/data");
        assert!(!text(&options, Access::Write).contains("safe"));
    }
}
