//! What a running VM uses: counters at an instant, and what they say of the time between two.
//!
//! ```text
//!  control group, or /proc ---.
//!  supervisor: disks, network --+--> Sample ---.
//!                                    Sample ---+--> rates()      (pure)
//! ```
//!
//! Counters begin with the VM's start. [`Sample::uptime`] does as well: a later sample with a shorter one
//! is of another start, and nothing can be said of the time between.

mod rates;
mod sample;

pub use rates::{InterfaceRates, Usage, rates};
pub use sample::Sample;
