//! Child processes: started exactly as described, bounded in time and output, ended as a group.
//!
//! * [`Spec`] says what is started and in which surroundings; nothing is inherited that it does not name.
//! * [`run`] waits for a short-lived program under [`Limits`]; [`run_until`] can be called off.
//! * [`spawn`] starts one that stays, as a [`Child`] held by its pidfd.
//! * [`Watched`] is one that somebody else started.

mod before_exec;
mod child;
mod confined;
mod error;
mod other;
mod run;
mod shared;
mod spawn;
mod spec;

pub use child::{Child, Status};
pub use error::Error;
pub use other::{Watched, is_ending, start_time, usage};
pub use run::{Limits, Output, run, run_until};
pub use spawn::spawn;
pub use spec::{Spec, Stdio, find_program};

#[cfg(test)]
mod tests;
