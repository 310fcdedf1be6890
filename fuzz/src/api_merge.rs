//! A manifest over a host's defaults: what is said wins field by field, lists as a whole.

use ignite_api::{Manifest, ManifestError, VmSpec, decode_over, decode_spec_over, decode_value};

/// Between the defaults and what is said over them.
const BETWEEN: &str = "\n===\n";

/// The first part is `vmDefaults`, the second the `spec` of a VM. Nothing said changes nothing, the same
/// said twice is as said once, and a manifest has its `spec` as a variable has it.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (defaults, said) = text.split_once(BETWEEN).unwrap_or(("{}", text));
    let Some(defaults) = read(defaults, &VmSpec::default()) else {
        return;
    };
    assert_eq!(read("{}", &defaults).as_ref(), Some(&defaults));
    let Some(merged) = read(said, &defaults) else {
        return;
    };
    assert_eq!(read(said, &merged).as_ref(), Some(&merged), "{text}");
    let said = decode_value(said).expect("read before").to_string();
    let manifest =
        format!(r#"{{"apiVersion":"ignite.weave.works/v1alpha4","kind":"VM","spec":{said}}}"#);
    let of_manifest = match decode_over(&manifest, &defaults) {
        Ok(Manifest::Vm(vm)) => Some(vm.spec),
        Ok(other) => panic!("{other:?}: {manifest}"),
        Err(error) => tell(&error),
    };
    assert_eq!(of_manifest, read(&said, &defaults), "{manifest}");
}

fn read(text: &str, defaults: &VmSpec) -> Option<VmSpec> {
    match decode_spec_over(text, defaults) {
        Ok(spec) => Some(spec),
        Err(error) => tell(&error),
    }
}

/// A fault can be told.
fn tell(error: &ManifestError) -> Option<VmSpec> {
    drop((error.to_string(), error.hint()));
    None
}
