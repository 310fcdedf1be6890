//! What `--network` takes: a text for each line.

use ignite_api::{InterfaceSpec, MAX_INTERFACES, Vm, validate};

/// What parses shows itself as something that parses to the same, alone and among others; what does
/// not is named. Whatever parses can be validated, and never has two interfaces of one name.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let texts: Vec<&str> = text.lines().collect();
    let wrong = texts.iter().filter(|text| !one(text)).count();
    let interfaces = match InterfaceSpec::parse_all(&texts) {
        Ok(interfaces) => {
            assert_eq!((wrong, interfaces.len()), (0, texts.len()));
            interfaces
        }
        Err(error) => {
            assert_eq!(error.faults().len(), wrong, "{error}");
            assert!(error.faults().iter().all(|(_, faults)| !faults.is_empty()));
            return drop(error.hint());
        }
    };
    let mut vm = Vm::of_image("image".parse().expect("a reference"));
    vm.spec.network.interfaces = interfaces;
    if validate(&vm).is_ok() {
        let mut names: Vec<String> = Vec::new();
        for (index, interface) in vm.spec.network.interfaces.iter().enumerate() {
            let name = interface.name_at(index).to_string();
            assert!(!name.contains(['/', ':']) && name.len() < 16, "{name:?}");
            assert!(!names.contains(&name), "{name:?} twice");
            names.push(name);
        }
        assert!(names.len() <= MAX_INTERFACES);
    }
}

fn one(text: &str) -> bool {
    match InterfaceSpec::parse(text) {
        Ok(interface) => {
            let shown = interface.to_string();
            assert_eq!(
                InterfaceSpec::parse(&shown),
                Ok(interface.clone()),
                "{shown:?}"
            );
            let json = serde_json::to_string(&interface).expect("plain data");
            let again = serde_json::from_str::<InterfaceSpec>(&json);
            assert_eq!(again.expect("our own"), interface, "{json}");
            true
        }
        Err(error) => {
            drop((error.to_string(), error.hint()));
            false
        }
    }
}
