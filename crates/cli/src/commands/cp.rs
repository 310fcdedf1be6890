//! `ignite cp`: files between this host and a VM.

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use ignite_engine::{Attendants, CopyFrom, CopyOptions, CopyTo, Report};
use ignite_program::{Failure, NO_READER};

use crate::context::{Context, Outcome};
use crate::terminal::Outlet;
use crate::values;
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite cp site.conf web:/etc/nginx/conf.d/
  ignite cp web:/var/log ./logs
  ignite cp ./tree/. web:/srv
  ignite cp web:/etc - | tar t

A directory goes into one that is there, unless that has its name; SRC/. is what is in it. Links
stay links. A relative path in the VM begins in root's home. Owners are kept on the way into the VM,
and with -a on the way out. A host's path with a colon is written with ./ before it.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Cp {
    /// What to copy: VM:PATH, a path of this host, or - for a tar archive on standard input
    #[arg(value_name = "SRC")]
    from: OsString,

    /// Where to: VM:PATH, a path of this host, or - for a tar archive on standard output
    #[arg(value_name = "DST")]
    to: OsString,

    /// Keep the owners' numbers, set-user-id bits and all extended attributes on this host
    #[arg(short, long)]
    archive: bool,

    /// Copy what SRC leads to, if it is a symbolic link
    #[arg(short = 'L', long)]
    follow_link: bool,

    /// Give up when the VM has been silent for that long
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = values::patience)]
    timeout: Duration,

    /// Taken from older scripts, and not used
    #[arg(short, long, value_name = "KEY", hide = true)]
    identity: Option<OsString>,
}

impl Verb for Cp {
    const ABOUT: &'static str = "Copy files between this host and a VM that runs";

    fn run(self, context: &Context) -> Outcome {
        if self.identity.is_some() {
            context.terminal.warn(
                "--identity is not used: files go through the VM's agent, which needs no key",
            );
        }
        let (from, to) = (Side::of(&self.from), Side::of(&self.to));
        let options = CopyOptions {
            archive: self.archive,
            follow: self.follow_link,
            patience: self.timeout,
        };
        match (from, to) {
            (Side::Vm { .. }, Side::Vm { .. }) => Err(Failure::usage(
                "both SRC and DST are in a VM",
                Some("copy through this host: ignite cp A:PATH - | ignite cp - B:DIRECTORY".into()),
            )),
            (Side::Vm { vm, path }, to) => copy_out(context, (&vm, &path), to, options),
            (from, Side::Vm { vm, path }) => copy_in(context, from, (&vm, &path), options),
            _ => Err(Failure::usage(
                "neither SRC nor DST is in a VM",
                Some("name the VM before a colon: ignite cp FILE VM:PATH".into()),
            )),
        }
    }
}

/// One end of a copy.
#[derive(Debug, PartialEq, Eq)]
enum Side {
    Vm { vm: String, path: OsString },
    Host(PathBuf),
    Stream,
}

impl Side {
    /// What is before the first colon is a VM, unless there is a slash before it.
    fn of(text: &OsStr) -> Self {
        let bytes = text.as_bytes();
        let colon = bytes.iter().position(|byte| matches!(byte, b':' | b'/'));
        match colon.filter(|at| *at > 0 && bytes[*at] == b':') {
            Some(at) => Self::Vm {
                vm: String::from_utf8_lossy(&bytes[..at]).into_owned(),
                path: OsString::from_vec(bytes[at + 1..].to_vec()),
            },
            None if bytes == b"-" => Self::Stream,
            None => Self::Host(text.into()),
        }
    }
}

fn copy_in(
    context: &Context,
    from: Side,
    (vm, path): (&str, &OsStr),
    options: CopyOptions,
) -> Outcome {
    let stdin = std::io::stdin();
    if matches!(from, Side::Stream) && stdin.is_terminal() {
        return Err(Failure::usage(
            "an archive is not typed at a terminal",
            Some("give it by a pipe, or from a file: tar c DIR | ignite cp - VM:DIRECTORY".into()),
        ));
    }
    let cancel = context.cancel()?;
    let from = match &from {
        Side::Host(path) => CopyFrom::Path(path),
        _ => CopyFrom::Archive(stdin.as_fd()),
    };
    let attendants = Attendants {
        report: context.terminal,
        progress: context.terminal,
        cancel: &cancel,
    };
    context
        .engine()?
        .copy_in(vm, (from, path), options, attendants)?;
    Ok(0)
}

fn copy_out(
    context: &Context,
    (vm, path): (&str, &OsStr),
    to: Side,
    options: CopyOptions,
) -> Outcome {
    if matches!(to, Side::Stream) && std::io::stdout().is_terminal() {
        return Err(Failure::usage(
            "an archive is nothing for a terminal",
            Some("send it through a pipe, or into a file: ignite cp VM:PATH - | tar t".into()),
        ));
    }
    let cancel = context.cancel()?;
    let mut stdout = Outlet::new(std::io::stdout().lock());
    let target = match &to {
        Side::Host(to) => CopyTo::Path(to),
        _ => CopyTo::Archive(&mut stdout),
    };
    let attendants = Attendants {
        report: context.terminal,
        progress: context.terminal,
        cancel: &cancel,
    };
    let done = context
        .engine()?
        .copy_out(vm, (path, target), options, attendants);
    if stdout.is_gone() {
        return Ok(NO_READER);
    }
    done?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_before_any_slash_names_a_vm() {
        let vm = |vm: &str, path: &str| Side::Vm {
            vm: vm.into(),
            path: path.into(),
        };
        let of = |text: &str| Side::of(OsStr::new(text));
        assert_eq!(of("web:/etc"), vm("web", "/etc"));
        assert_eq!(of("web:a:b"), vm("web", "a:b"));
        assert_eq!(of("web:"), vm("web", ""));
        assert_eq!(of("./web:x"), Side::Host("./web:x".into()));
        assert_eq!(of("/a:b"), Side::Host("/a:b".into()));
        assert_eq!(of(":x"), Side::Host(":x".into()));
        assert_eq!(of("-"), Side::Stream);
        assert_eq!(of("-x"), Side::Host("-x".into()));
    }
}
