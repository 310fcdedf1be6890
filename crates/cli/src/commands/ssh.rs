//! `ignite ssh`: into a VM by its ssh server.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use clap::Args;
use ignite_program::Failure;

use crate::context::{Context, Outcome};
use crate::values;
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite run --ssh --name web registry.example/with-sshd
  ignite ssh web
  ignite ssh web -- tail -n 5 /var/log/syslog

For images with an ssh server; `ignite exec -it web -- sh` needs none. The exit code is that of ssh:
the command's, or 255. The server's key is trusted the first time, and must stay the same.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, mut_arg("tty", values::on_or_off))]
pub struct Ssh {
    /// VM, by name, uid, or the beginning of either
    vm: String,

    /// Command to run there instead of a shell
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,

    /// Private key to enter with [default: the one made by `create --ssh`]
    #[arg(short, long, value_name = "FILE")]
    identity: Option<PathBuf>,

    /// How long to wait for the server
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = values::duration)]
    timeout: Duration,

    /// Whether to ask for a terminal there [default: without a command, or where input is one]
    #[arg(short, long)]
    tty: Option<bool>,
}

impl Verb for Ssh {
    const ABOUT: &'static str = "Enter a VM by its ssh server";

    fn run(self, context: &Context) -> Outcome {
        let identity = self.identity.map(std::path::absolute).transpose()?;
        let arguments = context.engine()?.ssh(&self.vm, identity, self.timeout)?;
        let mut command = Command::new("ssh");
        command.args(self.tty.map(|tty| if tty { "-t" } else { "-T" }));
        // Even behind the host, ssh would take a word that begins with a dash for an option of its own.
        command.args(arguments).arg("--").args(self.command);
        // Comes back only if there is no such program.
        let error = command.exec();
        Err(Failure::new(
            format!("cannot run ssh: {error}"),
            Some("install OpenSSH's client; on Debian: apt-get install openssh-client".to_owned()),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        ssh: Ssh,
    }

    fn read(words: &[&str]) -> Ssh {
        let words = ["ssh"].iter().chain(words);
        Line::try_parse_from(words).expect("valid").ssh
    }

    #[test]
    fn half_a_minute_is_waited_and_ssh_chooses_the_terminal() {
        let plain = read(&["web"]);
        assert_eq!((plain.timeout, plain.tty), (Duration::from_secs(30), None));
        // Weave Ignite's number of seconds.
        assert_eq!(
            read(&["web", "--timeout", "5"]).timeout,
            Duration::from_secs(5)
        );
        for (flag, tty) in [("-t", true), ("--tty", true), ("--tty=false", false)] {
            assert_eq!(read(&[flag, "web"]).tty, Some(tty), "{flag}");
        }
    }
}
