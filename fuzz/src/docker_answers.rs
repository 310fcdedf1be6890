//! Answers of a Docker Engine, or of whoever listens at its socket.

use ignite_docker::{ApiVersion, Container, answer};

/// Whatever is believed is of a form that can be shown and put into a path.
pub fn run(bytes: &[u8]) {
    match answer::container(bytes) {
        Ok(container) => check(&container),
        Err(error) => drop(error.to_string()),
    }
    if let Ok(created) = answer::created(bytes) {
        check_id(&created.id);
        created.warnings.iter().for_each(|text| check_words(text));
    }
    for listed in answer::listed(bytes).unwrap_or_default() {
        check_id(&listed.id);
        listed.names.iter().for_each(|name| check_name(name));
    }
    check_words(&answer::refusal(bytes));
    if let Ok(Err(message)) = answer::progress(bytes) {
        check_words(&message);
    }
    let _ = (answer::layers(bytes), answer::tags(bytes));
    let text = String::from_utf8_lossy(bytes);
    if let Ok(version) = text.parse::<ApiVersion>() {
        assert_eq!(version.to_string().parse(), Ok(version));
    }
}

fn check(container: &Container) {
    check_id(&container.id);
    check_name(&container.name);
    check_words(&container.error);
    assert!(container.pid.is_none_or(|pid| pid > 1));
    if let Some(network) = &container.network {
        check_words(&network.network);
    }
}

fn check_id(id: &str) {
    assert!(id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
}

fn check_name(name: &str) {
    assert!((1..=255).contains(&name.len()) && !name.chars().any(char::is_control));
}

fn check_words(text: &str) {
    assert!(text.chars().count() <= 403 && !text.chars().any(char::is_control));
}
