//! The program `ignited`, all of which is in its library.

fn main() -> std::process::ExitCode {
    ignite_daemon::run()
}
