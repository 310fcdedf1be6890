//! What a registry asks for, and the logins in Docker's `config.json`.

use ignite_image::registry::{Challenge, Logins};

/// The bytes are taken as headers, one a line, and as the file.
pub fn run(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let headers: Vec<&str> = text.lines().collect();
        if let Some(Challenge::Bearer { realm, service }) = Challenge::parse(&headers) {
            let parts = service.iter().chain([&realm]);
            assert!(parts.map(String::len).sum::<usize>() <= text.len());
        }
    }
    if let Ok(logins) = Logins::parse(bytes) {
        for registry in ["docker.io", "localhost:5000", ""] {
            let _ = (logins.helper(registry), logins.kept(registry));
        }
    }
}
