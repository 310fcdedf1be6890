//! Templates for what is shown of a VM: the text is a person's, the labels are anybody's.

use ignite_api::template::Value;
use ignite_api::{Template, Vm, view};

/// The first line is a label's value, the rest a template. It is read or its fault has a place in it;
/// what it prints is bounded, and the same each time.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (label, text) = text.split_once('\n').unwrap_or(("", text));
    let template = match text.parse::<Template>() {
        Ok(template) => template,
        Err(error) => {
            assert!(error.position <= text.chars().count() + 1, "{error}");
            return drop((error.to_string(), error.hint()));
        }
    };
    let _ = template.header();
    let mut vm = Vm::of_image("image".parse().expect("a reference"));
    let labels = &mut vm.metadata.labels;
    labels.insert("first".into(), label.into());
    labels.insert("second".into(), "x".into());
    let value = Value::Object(view::vm(&vm));
    let shown = template.render(&value);
    match &shown {
        Ok(text) => assert!(text.len() <= 1 << 20),
        Err(error) => {
            assert!(error.position <= text.chars().count() + 1, "{error}");
            drop((error.to_string(), error.hint()));
        }
    }
    assert_eq!(template.render(&value), shown);
}
