//! What a stranger's request asks for, judged before anything is looked up.
//!
//! ```text
//!  method -> host -> site -> route -> key -> answer
//!   405      421     403    404, 400  401
//! ```
//! A page of a stranger that got its name to mean this machine (DNS rebinding) sends that name as the
//! `Host`; so only addresses and `localhost` are taken. The port is not compared: it is another one
//! behind `ssh -L`.

mod host;
mod route;

use hyper::header::{AUTHORIZATION, HOST};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, StatusCode};

pub use host::is_ours;
pub use route::{NoRoute, Route};

use crate::Access;

/// A request that is not answered as it wishes: the status, and why in words.
pub type Refusal = (StatusCode, &'static str);

/// What a request asks for, if it may.
pub fn admit(parts: &Parts, access: &Access) -> Result<Route, Refusal> {
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD"));
    }
    if parts.uri.authority().is_some() {
        return Err((StatusCode::BAD_REQUEST, "this is no proxy"));
    }
    if !only(&parts.headers, HOST).is_some_and(is_ours) {
        let text = "ask for it by an address or as localhost";
        return Err((StatusCode::MISDIRECTED_REQUEST, text));
    }
    if !from_here(&parts.headers) {
        return Err((StatusCode::FORBIDDEN, "not for pages of others"));
    }
    let route = Route::parse(parts.uri.path(), parts.uri.query()).map_err(|fault| match fault {
        NoRoute::Path => (StatusCode::NOT_FOUND, "there is no such thing"),
        NoRoute::Query => (StatusCode::BAD_REQUEST, "the query is not understood"),
    })?;
    if route.needs_key() && !opens(&parts.headers, access) {
        let text = "the key is missing or wrong: open the address that ignite dashboard printed";
        return Err((StatusCode::UNAUTHORIZED, text));
    }
    Ok(route)
}

/// Whether a browser says that the request is of our own page, or typed by a person (Fetch Metadata).
/// Other programs say nothing.
fn from_here(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-site").map(|site| site.as_bytes()) {
        None | Some(b"same-origin" | b"none") => true,
        // A link of another page opens the page, which is none of that page's business.
        Some(_) => {
            let mode = headers.get("sec-fetch-mode");
            mode.is_some_and(|mode| mode.as_bytes() == b"navigate")
        }
    }
}

/// Whether the request has the key, where one is needed (RFC 6750, 2.1).
fn opens(headers: &HeaderMap, access: &Access) -> bool {
    let Access::Key(key) = access else {
        return true;
    };
    let said = only(headers, AUTHORIZATION);
    said.and_then(|said| said.strip_prefix(b"Bearer "))
        .is_some_and(|said| key.is(said))
}

/// A header's value where it is there once.
fn only(headers: &HeaderMap, name: hyper::header::HeaderName) -> Option<&[u8]> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.as_bytes()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Key;
    use hyper::Request;

    /// The status of a request; 200 where it is let in.
    fn status(method: &str, uri: &str, headers: &[(&str, &str)], access: &Access) -> u16 {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).expect("well formed").into_parts();
        match admit(&parts, access) {
            Ok(_) => 200,
            Err((status, _)) => status.as_u16(),
        }
    }

    const HERE: (&str, &str) = ("host", "127.0.0.1:4280");

    #[test]
    fn nothing_can_be_changed() {
        for method in [
            "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "BREW",
        ] {
            assert_eq!(status(method, "/", &[HERE], &Access::Everyone), 405);
        }
        assert_eq!(status("HEAD", "/", &[HERE], &Access::Everyone), 200);
    }

    #[test]
    fn a_name_that_came_to_mean_this_machine_is_refused() {
        let ask = |host| status("GET", "/api/state", &[("host", host)], &Access::Everyone);
        assert_eq!(ask("localhost:4280"), 200);
        assert_eq!(ask("rebind.example.com:4280"), 421);
        assert_eq!(status("GET", "/", &[], &Access::Everyone), 421);
        let twice = [HERE, ("host", "evil.example")];
        assert_eq!(status("GET", "/", &twice, &Access::Everyone), 421);
        let proxied = "http://evil.example/api/state";
        assert_eq!(status("GET", proxied, &[HERE], &Access::Everyone), 400);
    }

    #[test]
    fn only_with_the_key() {
        let key = Key::random().expect("random bytes");
        let right = format!("Bearer {}", key.as_str());
        let access = Access::Key(key);
        let ask = |said: &str| {
            status(
                "GET",
                "/api/state",
                &[HERE, ("authorization", said)],
                &access,
            )
        };
        assert_eq!(ask(&right), 200);
        for wrong in [
            "",
            "Bearer ",
            "Bearer x",
            &right[7..],
            &right.to_uppercase(),
        ] {
            assert_eq!(ask(wrong), 401, "{wrong}");
        }
        assert_eq!(status("GET", "/api/events", &[HERE], &access), 401);
        // The page itself tells nothing.
        assert_eq!(status("GET", "/", &[HERE], &access), 200);
    }

    #[test]
    fn pages_of_others_get_nothing() {
        let from = |site, mode| {
            let headers = [HERE, ("sec-fetch-site", site), ("sec-fetch-mode", mode)];
            status("GET", "/", &headers, &Access::Everyone)
        };
        assert_eq!(from("same-origin", "cors"), 200);
        assert_eq!(from("none", "navigate"), 200);
        assert_eq!(from("cross-site", "navigate"), 200);
        assert_eq!(from("cross-site", "no-cors"), 403);
        // Another port of this machine is another's page.
        assert_eq!(from("same-site", "cors"), 403);
    }
}
