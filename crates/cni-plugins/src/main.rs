//! `ignite-cni`: the CNI plugins of Ignite in one program. Installed under the name of a plugin (a
//! link will do), it is that plugin.

use std::io::Write;
use std::process::ExitCode;

use ignite_cni_plugins::{Answer, PLUGINS, answer, choose};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    if arguments.iter().skip(1).eq(["--version"]) {
        println!("ignite-cni {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    let Some(plugin) = choose(&arguments) else {
        let names = PLUGINS.map(|plugin| plugin.name()).join(", ");
        eprintln!("ignite-cni: call it by the name of a plugin, or give one: {names}");
        return ExitCode::from(2);
    };
    let variables = std::env::vars_os().collect();
    let answer = answer(plugin, variables, &mut std::io::stdin().lock());
    match print(&answer) {
        Ok(()) if answer.success => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn print(answer: &Answer) -> std::io::Result<()> {
    // A closed standard error keeps no result from the runtime.
    let _ = std::io::stderr().write_all(&answer.stderr);
    let mut stdout = std::io::stdout();
    stdout.write_all(&answer.stdout)?;
    stdout.flush()
}
