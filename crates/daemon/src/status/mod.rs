//! The status file: what the daemon keeps, for people and programs that have no `ignite`.
//!
//! ```json
//! {"source": "/etc/firecracker/manifests", "revision": "a5310e2…", "since": "2026-11-22T08:00:00Z",
//!  "error": "why the source cannot be read", "warnings": [],
//!  "manifests": [
//!    {"file": "web.yaml", "uid": "0123456789abcdef", "name": "web", "wanted": "running",
//!     "state": "running", "addresses": ["10.61.0.2"], "restarts": 0, "action": "start",
//!     "fault": {"message": "…", "hint": "…"}, "nextAttempt": "2026-11-22T08:00:05Z",
//!     "lastAction": {"action": "start", "time": "2026-11-22T08:00:01Z", "result": "ok"}}],
//!  "ignored": [{"file": "image.yaml", "kind": "Image"}]}
//! ```
//! What there is nothing to say of is left out. A VM whose manifest is gone is there until it is removed,
//! without `wanted`. Nobody but the daemon writes it.

mod document;
mod file;
mod view;

pub use document::{Document, Line};
pub use file::StatusFile;
pub use view::{View, document};
