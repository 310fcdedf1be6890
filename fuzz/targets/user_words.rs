//! What a person types: whatever parses shows itself as something that parses
//! to the same.
#![no_main]

use std::fmt::{Debug, Display};
use std::str::FromStr;

use ignite_api::{EnvVar, IdPrefix, Label, Mac, Name, PortMapping, Reference, Size, Uid};
use libfuzzer_sys::fuzz_target;

fn round<T: FromStr<Err: Debug> + Display + PartialEq + Debug>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string().parse::<T>().expect("what it shows"), value);
    }
}

fuzz_target!(|text: &str| {
    round::<Name>(text);
    round::<Uid>(text);
    round::<IdPrefix>(text);
    round::<Mac>(text);
    round::<Size>(text);
    round::<Label>(text);
    round::<EnvVar>(text);
    round::<Reference>(text);
    let _ = PortMapping::parse_all(&[text]);
    let _ = ignite_api::decode(text);
    let _ = ignite_image::kernel::KernelSource::parse(text);
});
