//! The stream of events of one client (HTML, 9.2: `event:` and `data:` lines).
//!
//! ```text
//!  history  a list of points, first
//!  state    all that is, first and when it changed
//!  point    what is used, each second
//! ```

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::unfold;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Frame};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, timeout_at};

use crate::answer::Body;
use crate::hub::{Hub, Moment};

/// The page comes again after this time: whoever stopped reading gives its place back.
const LASTS: Duration = Duration::from_secs(9 * 60);

/// What one client has seen.
struct Seen {
    hub: Arc<Hub>,
    moments: watch::Receiver<Arc<Moment>>,
    stop: watch::Receiver<bool>,
    edition: Option<u64>,
    begun: bool,
    ends: Instant,
    _place: OwnedSemaphorePermit,
}

/// A body that goes on while the client reads, for a while.
pub fn body(hub: Arc<Hub>, stop: watch::Receiver<bool>, place: OwnedSemaphorePermit) -> Body {
    let seen = Seen {
        moments: hub.subscribe(),
        hub,
        stop,
        edition: None,
        begun: false,
        ends: Instant::now() + LASTS,
        _place: place,
    };
    let frames = unfold(seen, async |mut seen: Seen| {
        let text = seen.next().await?;
        let frame = Ok::<_, Infallible>(Frame::data(Bytes::from(text)));
        Some((frame, seen))
    });
    StreamBody::new(frames).boxed_unsync()
}

impl Seen {
    /// What to send next; none at the end.
    async fn next(&mut self) -> Option<String> {
        if !self.begun {
            self.begun = true;
            return Some(event("history", &self.hub.history()));
        }
        let moment = tokio::select! {
            _ = self.stop.wait_for(|stop| *stop) => return None,
            moment = timeout_at(self.ends, self.moments.changed()) => {
                moment.ok()?.ok()?;
                Arc::clone(&self.moments.borrow_and_update())
            }
        };
        let mut text = String::new();
        if self.edition.replace(moment.edition) != Some(moment.edition) {
            text += &event("state", &moment.state);
        }
        Some(text + &event("point", &moment.point))
    }
}

/// JSON has no line breaks but those it escapes.
fn event(name: &str, json: &str) -> String {
    format!("event: {name}\ndata: {json}\n\n")
}
