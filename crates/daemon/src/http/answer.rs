//! What is asked for, and what there is to say.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::app::Shared;
use crate::metrics;

/// A loop that does not turn within this time is stuck.
const TURN: Duration = Duration::from_secs(5);

/// Time to read the counters of all VMs.
const COUNTERS: Duration = Duration::from_secs(8);

const TEXT: &str = "text/plain; charset=utf-8";

/// Answers one request.
pub async fn answer(
    method: &Method,
    path: &str,
    shared: Arc<Shared>,
    scrapes: Arc<Semaphore>,
) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
    }
    match path {
        "/metrics" => numbers(shared, scrapes).await,
        "/healthz" => health(&shared).await,
        "/status" => {
            let status = shared.status().to_string();
            response(StatusCode::OK, "application/json", status)
        }
        _ => text(
            StatusCode::NOT_FOUND,
            "there are /metrics, /healthz and /status",
        ),
    }
}

/// Of one socket one at a time reads the counters: they come from the VMs' supervisors.
async fn numbers(shared: Arc<Shared>, scrapes: Arc<Semaphore>) -> Response<Full<Bytes>> {
    let Ok(_alone) = scrapes.acquire().await else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "ending");
    };
    let deadline = Instant::now() + COUNTERS;
    let page = tokio::task::spawn_blocking(move || metrics::scrape(&shared, deadline)).await;
    match page {
        Ok(page) => response(StatusCode::OK, metrics::CONTENT_TYPE, page),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

async fn health(shared: &Shared) -> Response<Full<Bytes>> {
    let turns = timeout(TURN, shared.ping()).await;
    let trouble = match turns {
        Ok(Ok(())) => shared.health().trouble(Instant::now()),
        _ => Some("the daemon does not turn".into()),
    };
    match trouble {
        None => text(StatusCode::OK, "ok"),
        Some(trouble) => text(StatusCode::SERVICE_UNAVAILABLE, &trouble),
    }
}

fn text(status: StatusCode, line: &str) -> Response<Full<Bytes>> {
    response(status, TEXT, format!("{line}\n"))
}

fn response(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    // RFC 9110 10.2.1: a 405 says what is allowed. Elsewhere it does no harm.
    headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
