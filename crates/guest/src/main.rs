//! `ignite-guest`: see the library, which is apart so that fuzzing reaches what the host says.

use std::process::ExitCode;

fn main() -> ExitCode {
    ignite_guest::main()
}
