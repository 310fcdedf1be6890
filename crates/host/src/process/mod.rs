//! Child processes: started exactly as described, bounded in time and output, ended as a group.
//!
//! * [`Spec`] says what is started and in which surroundings; nothing is inherited that it does not name.
//! * [`run`] waits for a short-lived program under [`Limits`].
//! * [`spawn`] starts one that stays, as a [`Child`] held by its pidfd.

mod before_exec;
mod child;
mod error;
mod run;
mod shared;
mod spawn;
mod spec;

pub use child::{Child, Status};
pub use error::Error;
pub use run::{Limits, Output, run};
pub use spawn::spawn;
pub use spec::{Spec, Stdio, find_program};

#[cfg(test)]
mod tests;
