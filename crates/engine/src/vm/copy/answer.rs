//! What a tool of the guest program's writes, as a whole.

use std::io::Read;
use std::time::Duration;

use ignite_wire::agent::Tool;

use super::channel::{Channel, Terms};
use super::{Attendants, CopyError, STEP, judge};
use crate::vm::control::Control;

/// All that `tool` writes, and one byte more than `most` where it is longer.
pub(in crate::vm) fn answer(
    control: Control,
    tool: Tool,
    most: u64,
    attendants: Attendants<'_>,
    patience: Duration,
) -> Result<Vec<u8>, CopyError> {
    let terms = Terms {
        cancel: attendants.cancel,
        progress: attendants.progress,
        step: STEP,
        patience,
    };
    let mut channel = Channel::open(control, tool, &terms)?;
    let mut bytes = Vec::new();
    let read = (&mut channel).take(most + 1).read_to_end(&mut bytes);
    read.map_err(|error| channel.take_failure(error))?;
    if bytes.len() as u64 <= most {
        channel.end()?;
        judge(&mut channel, attendants.report)?;
    }
    Ok(bytes)
}
