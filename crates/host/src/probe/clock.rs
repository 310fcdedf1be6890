//! Whether the host's clock is kept right by somebody.

/// Whether the kernel believes its clock to be synchronised; none where it does not say.
pub fn is_synchronised() -> Option<bool> {
    // SAFETY: all zeroes is a valid `timex`: it asks for no change.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live value of that type, which the call fills.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    (state >= 0).then_some(state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_answers() {
        assert_eq!(is_synchronised(), is_synchronised());
        assert!(is_synchronised().is_some());
    }
}
