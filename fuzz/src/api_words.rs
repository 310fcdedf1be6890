//! Words a person types on the command line.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use ignite_api::{
    Address, Dns, EnvVar, IdPrefix, InterfaceName, Label, Mac, Name, NetworkName, NetworkPlugin,
    PortMapping, Reference, Size, Subnet, Uid,
};
use ignite_image::kernel::KernelSource;
use ignite_image::{Digest, Source};

/// What parses shows itself as something that parses to the same.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    round::<Address>(text);
    round::<Dns>(text);
    round::<EnvVar>(text);
    round::<IdPrefix>(text);
    round::<InterfaceName>(text);
    round::<Label>(text);
    round::<Mac>(text);
    round::<Name>(text);
    round::<NetworkName>(text);
    round::<NetworkPlugin>(text);
    round::<Reference>(text);
    round::<Size>(text);
    round::<Subnet>(text);
    round::<Uid>(text);
    round::<Digest>(text);
    round::<Source>(text);
    ports(text);
    // Looks whether files are there: only what names none.
    if !text.starts_with(['/', '.']) && !text.starts_with("dir:") && !text.ends_with(".deb") {
        let _ = KernelSource::parse(text).map_err(|error| error.to_string());
    }
}

fn round<T: FromStr<Err: Display> + Display + PartialEq + Debug>(text: &str) {
    match text.parse::<T>() {
        Ok(value) => {
            let shown = value.to_string();
            match shown.parse::<T>() {
                Ok(again) => assert_eq!(again, value, "{shown:?}"),
                Err(error) => panic!("{shown:?}, shown for {text:?}: {error}"),
            }
        }
        Err(error) => drop(error.to_string()),
    }
}

fn ports(text: &str) {
    match PortMapping::parse(text) {
        Ok(mappings) => {
            // Both ends: a range may have thousands.
            for mapping in [mappings.first(), mappings.last()].into_iter().flatten() {
                let argument = mapping.to_argument();
                assert_eq!(
                    PortMapping::parse(&argument),
                    Ok(vec![*mapping]),
                    "{argument}"
                );
            }
            PortMapping::check_conflicts(&mappings).expect("a range does not conflict with itself");
        }
        Err(error) => drop((error.to_string(), error.hint())),
    }
    let _ = PortMapping::parse_all([text]);
}
