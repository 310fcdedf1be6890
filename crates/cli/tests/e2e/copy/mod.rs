//! `cp` and `--copy-files`: files between a host and a VM.

mod begin;
mod refusals;
mod rules;
mod stream;
mod tree;

use anyhow::Result;
use ignite_testkit::{Invocation, Output};

use crate::support::{BOOT, Vm};

/// `ignite cp` with these words, in which `VM` before a colon means the VM.
fn cp(vm: &Vm<'_>, words: &[&str]) -> Invocation {
    let place = |word: &&str| match word.strip_prefix("VM:") {
        Some(path) => format!("{}:{path}", vm.uid),
        None => (*word).to_owned(),
    };
    let words = std::iter::once("cp".to_owned()).chain(words.iter().map(place));
    vm.host.ignite(words).deadline(BOOT)
}

/// The same, which must succeed without a word.
fn copied(vm: &Vm<'_>, words: &[&str]) -> Result<()> {
    let output = cp(vm, words).output()?;
    anyhow::ensure!(silent(&output), "cp {words:?} said: {output}");
    output.ok().map(drop)
}

fn silent(output: &Output) -> bool {
    output.stdout.is_empty() && output.stderr.is_empty()
}

/// What is below a directory of the host, and of the VM.
fn below(vm: &Vm<'_>, host: &str, guest: &str) -> Result<(String, String)> {
    Ok((
        vm.host.helper(&["below", host])?.deadline(BOOT).ok()?,
        vm.exec(&["testkit-helper", "below", guest])
            .deadline(BOOT)
            .ok()?,
    ))
}
