//! The command by which git reaches a host: it never asks anything, and talks to known hosts only.

use std::path::Path;
use std::time::Duration;

use super::options::Ssh;

/// What `GIT_SSH_COMMAND` is set to, for a shell to read.
pub(super) fn command(ssh: &Ssh, timeout: Duration) -> String {
    let mut words = vec!["ssh".to_owned()];
    let mut option = |text: String| words.extend(["-o".to_owned(), text]);
    option("BatchMode=yes".to_owned());
    option("StrictHostKeyChecking=yes".to_owned());
    option(format!("ConnectTimeout={}", timeout.as_secs().max(1)));
    option("ServerAliveInterval=10".to_owned());
    option("ForwardAgent=no".to_owned());
    option("ClearAllForwardings=yes".to_owned());
    option("PermitLocalCommand=no".to_owned());
    if let Some(path) = &ssh.hosts_file {
        option(format!("UserKnownHostsFile={}", value(path)));
    }
    if let Some(path) = &ssh.identity_file {
        option("IdentitiesOnly=yes".to_owned());
        option(format!("IdentityFile={}", value(path)));
    }
    let quoted: Vec<String> = words.iter().map(|word| shell(word)).collect();
    quoted.join(" ")
}

/// A path as the value of an option of ssh: in its quotes, with a percent sign that is one.
fn value(path: &Path) -> String {
    let text = path.display().to_string();
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", text.replace('%', "%%"))
}

fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./".contains(c);
    if word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_blanks_and_quotes_stay_whole() {
        let ssh = Ssh {
            identity_file: Some("/keys/it's 100%".into()),
            hosts_file: Some("/etc/known hosts".into()),
        };
        insta::assert_snapshot!(command(&ssh, Duration::from_secs(60)), @r#"ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=60 -o ServerAliveInterval=10 -o ForwardAgent=no -o ClearAllForwardings=yes -o PermitLocalCommand=no -o 'UserKnownHostsFile="/etc/known hosts"' -o IdentitiesOnly=yes -o 'IdentityFile="/keys/it'\''s 100%%"'"#);
    }

    #[test]
    fn ssh_reads_them_as_meant() {
        let ssh = Ssh {
            identity_file: Some("/keys/it's 100%".into()),
            hosts_file: Some("/etc/known hosts".into()),
        };
        let script = format!("{} -G example.org", command(&ssh, Duration::from_secs(60)));
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .output()
            .expect("ssh");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        for line in [
            "userknownhostsfile /etc/known hosts",
            "identityfile /keys/it's 100%",
            "batchmode yes",
        ] {
            assert!(
                said.lines().any(|said| said.starts_with(line)),
                "{line} is not in {said}"
            );
        }
    }
}
