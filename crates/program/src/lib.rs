//! What `ignite` and `ignited` have in common, as programs that people call: how a failure reads and
//! which exit code it has, the flags that say where things are, values with their hints, completion
//! scripts and man pages.
//!
//! What a program does is its own, and so is its terminal: nothing is printed here.

mod failure;
mod level;
mod pages;
mod places;
mod suggestion;
mod values;
mod version;

pub use failure::{FAILED, Failure, NO_READER, USAGE, harmless, render, usage_text};
pub use level::LogLevel;
pub use pages::{ShellName, completion, write_man};
pub use places::Places;
pub use suggestion::suggest_visible;
pub use values::{Hinted, Parser, message, value};
pub use version::ProgramVersion;
