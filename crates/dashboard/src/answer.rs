//! Answers, each with what keeps a browser from doing more with it than is meant.

use std::convert::Infallible;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{Response, StatusCode};
use ignite_engine::ConsolePiece;

use crate::assets::Asset;
use crate::source::Trouble;

/// What is sent after the head.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// An answer.
pub type Answer = Response<Body>;

const TEXT: &str = "text/plain; charset=utf-8";

/// Nothing from elsewhere, nothing inline, no frames, no forms, no markup made by a script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// Headers of every answer.
const HEADERS: [(HeaderName, &str); 9] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-embedder-policy"),
        "require-corp",
    ),
    // RFC 9110 10.2.1: a 405 says what is allowed. Elsewhere it does no harm.
    (ALLOW, "GET, HEAD"),
];

/// An answer with this body.
pub fn answer(status: StatusCode, kind: &'static str, body: Body) -> Answer {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A body that is there already.
fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

/// A line for people.
pub fn text(status: StatusCode, line: &str) -> Answer {
    answer(status, TEXT, whole(format!("{line}\n")))
}

/// A part of the page.
pub fn asset(asset: &'static Asset) -> Answer {
    answer(StatusCode::OK, asset.kind, whole(asset.bytes))
}

/// A value.
pub fn json(text: String) -> Answer {
    answer(StatusCode::OK, "application/json", whole(text))
}

/// Bytes of a console, which are nobody's to interpret.
pub fn console(piece: ConsolePiece) -> Answer {
    let numbers = [
        ("ignite-console-file", piece.next.file),
        ("ignite-console-next", piece.next.offset),
        ("ignite-console-follows", u64::from(piece.follows)),
    ];
    let mut response = answer(
        StatusCode::OK,
        "application/octet-stream",
        whole(piece.bytes),
    );
    for (name, number) in numbers {
        let name = HeaderName::from_static(name);
        response
            .headers_mut()
            .insert(name, HeaderValue::from(number));
    }
    response
}

/// What failed.
pub fn trouble(trouble: &Trouble) -> Answer {
    match trouble {
        Trouble::Gone => text(StatusCode::NOT_FOUND, "there is no such VM"),
        Trouble::Failed(why) => text(StatusCode::INTERNAL_SERVER_ERROR, why),
    }
}

/// Events, as long as they last.
pub fn events(body: Body) -> Answer {
    answer(StatusCode::OK, "text/event-stream", body)
}
