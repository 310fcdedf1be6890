//! Manifests, YAML or JSON, from people.

use ignite_api::{
    Manifest, Positions, Size, VmSpec, decode, decode_over, encode_json, encode_yaml, validate,
};

/// What is read can be checked, and written in both forms it is read as the same.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let manifest = match decode(text) {
        Ok(manifest) => manifest,
        Err(error) => {
            let _ = (error.to_string(), error.hint());
            return;
        }
    };
    let written = match &manifest {
        Manifest::Vm(vm) => {
            for fault in validate(vm).err().into_iter().flatten() {
                assert!(
                    Positions::read(text).of(&fault.path).is_some(),
                    "{fault}: {text}"
                );
            }
            let defaults = VmSpec {
                memory: Size::from_mib(2048),
                ..VmSpec::default()
            };
            decode_over(text, &defaults).expect("read before");
            [encode_json(vm), encode_yaml(vm)]
        }
        Manifest::Image(image) => [encode_json(image), encode_yaml(image)],
        Manifest::Kernel(kernel) => [encode_json(kernel), encode_yaml(kernel)],
        Manifest::Configuration(it) => [encode_json(it), encode_yaml(it)],
    };
    for text in written {
        let again = decode(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(again, manifest, "{text}");
    }
}
