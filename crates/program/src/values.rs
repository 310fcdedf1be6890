//! Values of flags: the types of manifests, with their hints in clap's messages.

use std::error::Error;
use std::str::FromStr;

use ignite_api::{
    AddressError, DetachKeysError, DnsError, EnvError, ExtraHostError, HostNameError,
    IdPrefixError, InterfaceNameError, LabelError, MacError, NameError, NetworkPluginError,
    PortError, RateError, SizeError, VmmChoiceError,
};

/// An error that knows what to do about it.
pub trait Hinted: Error {
    /// What to do about it.
    fn hint(&self) -> Option<String>;
}

macro_rules! hinted {
    ($($error:ty),*) => {
        $(impl Hinted for $error {
            fn hint(&self) -> Option<String> {
                <$error>::hint(self)
            }
        })*
    };
}

hinted!(
    AddressError,
    DetachKeysError,
    DnsError,
    EnvError,
    ExtraHostError,
    HostNameError,
    IdPrefixError,
    InterfaceNameError,
    LabelError,
    MacError,
    NameError,
    NetworkPluginError,
    PortError,
    RateError,
    SizeError,
    VmmChoiceError
);

/// Parses a value; the hint is a second line of the message.
pub fn value<T: FromStr<Err: Hinted>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| message(&error))
}

/// What is wrong with a value, and in a second line the hint.
pub fn message(error: &impl Hinted) -> String {
    match error.hint() {
        None => error.to_string(),
        Some(hint) => format!("{error}\nhint: {hint}"),
    }
}

/// Named for use in `value_parser`, where a type parameter would need to be spelt out.
pub type Parser<T> = fn(&str) -> Result<T, String>;

#[cfg(test)]
mod tests {
    use super::*;
    use ignite_api::IdPrefix;

    #[test]
    fn hints_follow_the_fault() {
        let fault = value::<IdPrefix>("A B").expect_err("blanks");
        let (said, hint) = fault.split_once("\nhint: ").expect("a hint");
        assert!(said.contains("A B") && !hint.is_empty(), "{fault}");
    }
}
