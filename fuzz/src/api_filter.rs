//! Filters: one for each line.

use ignite_api::filter::{Condition, Filters, ImageCondition, NetworkCondition, VmCondition};
use ignite_api::template::Value;
use ignite_api::{Vm, view};

/// Filters are read or the fault has a place in one; whatever is read says yes or no, or fails with a
/// field that is not there. Without any, everything is meant.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let texts: Vec<&str> = text.lines().collect();
    drop(read::<ImageCondition>(&texts));
    drop(read::<NetworkCondition>(&texts));
    let Some(filters) = read::<VmCondition>(&texts) else {
        return;
    };
    let mut vm = Vm::of_image("image".parse().expect("a reference"));
    vm.metadata.name = "web".into();
    let value = Value::Object(view::vm(&vm));
    match filters.accept(&vm, &value) {
        Ok(accepted) => assert!(accepted || !texts.is_empty()),
        Err(error) => drop((error.to_string(), error.hint())),
    }
}

fn read<C: Condition>(texts: &[&str]) -> Option<Filters<C>> {
    match Filters::parse(texts) {
        Ok(filters) => {
            assert_eq!(filters.is_empty(), texts.is_empty());
            Some(filters)
        }
        Err(error) => {
            let longest = texts.iter().map(|text| text.chars().count()).max();
            assert!(error.position <= longest.unwrap_or_default() + 1, "{error}");
            drop((error.to_string(), error.hint()));
            None
        }
    }
}
