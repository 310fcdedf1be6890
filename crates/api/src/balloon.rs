//! How much a balloon may take of a guest's memory.
//!
//! What is taken back is the host's again; the guest gets none of it while the balloon has it, but for
//! what it would die without.

use crate::{MIN_MEMORY, Size};

/// A balloon that does not fit into a VM.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BalloonError {
    /// The guest would be left with less than it lives on.
    #[error("{balloon} of {memory} leaves the guest less than {MIN_MEMORY}")]
    TooLarge {
        /// The balloon.
        balloon: Size,
        /// The guest's memory.
        memory: Size,
    },
    /// VMMs count in MiB.
    #[error("{balloon} is not a whole number of MB")]
    Fraction {
        /// The balloon.
        balloon: Size,
    },
}

impl BalloonError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::TooLarge { memory, .. } => match most(*memory).bytes() >> 20 {
                0 => "give the VM more memory, or an empty balloon: 0".to_owned(),
                most => format!("a VM of {memory} can have a balloon of at most {most}MB"),
            },
            Self::Fraction { .. } => "write a whole number of MB or GB, such as 64MB".to_owned(),
        })
    }
}

/// Checks a balloon of a VM with that much memory: [`MIN_MEMORY`] is left to the guest.
pub fn check_balloon(balloon: Size, memory: Size) -> Result<(), BalloonError> {
    if !balloon.bytes().is_multiple_of(Size::MIB.bytes()) {
        return Err(BalloonError::Fraction { balloon });
    }
    if balloon > most(memory) {
        return Err(BalloonError::TooLarge { balloon, memory });
    }
    Ok(())
}

fn most(memory: Size) -> Size {
    Size::from_bytes(memory.bytes().saturating_sub(MIN_MEMORY.bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(balloon: Size, memory: Size) -> Option<String> {
        check_balloon(balloon, memory).err()?.hint()
    }

    #[test]
    fn a_guest_keeps_what_it_lives_on() {
        let mib = Size::from_mib;
        assert_eq!(hint(mib(0), mib(64)), None);
        assert_eq!(hint(mib(192), mib(256)), None);
        let most = hint(mib(193), mib(256)).expect("too large");
        assert!(most.ends_with("at most 192MB"), "{most}");
        let none = hint(mib(1), mib(64)).expect("too large");
        assert!(none.contains("more memory"), "{none}");
        let whole = hint(Size::from_bytes(1), mib(256)).expect("a fraction");
        assert!(whole.contains("whole number"), "{whole}");
    }
}
