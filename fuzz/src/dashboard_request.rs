//! What a request to the dashboard names: a host, a path, a query.

use ignite_dashboard::request::{Route, is_ours};

/// A name is never taken for this host's, and what is asked for is said in so many digits.
pub fn run(bytes: &[u8]) {
    if is_ours(bytes) {
        let text = std::str::from_utf8(bytes).expect("an address is text");
        let name = text.rsplit_once(':').map_or(text, |(name, _)| name);
        let letters = name.bytes().any(|byte| byte.is_ascii_alphabetic());
        assert!(
            !letters
                || name.starts_with('[')
                || name.eq_ignore_ascii_case("localhost")
                || text.starts_with('['),
            "{text}"
        );
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (path, query) = match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    };
    if let Ok(Route::Console(uid, place)) = Route::parse(path, query) {
        assert_eq!(path, format!("/api/vms/{uid}/console"));
        for part in query
            .unwrap_or_default()
            .split('&')
            .filter(|part| !part.is_empty())
        {
            let number: u64 = part
                .split_once('=')
                .and_then(|(_, number)| number.parse().ok())
                .expect("a number");
            assert!(number == place.file || number == place.offset, "{text}");
        }
    }
}
