//! The paths there are, and what their queries say.

use ignite_api::Uid;
use ignite_engine::ConsolePlace;

use crate::assets::{self, Asset};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// A part of the page.
    Asset(&'static Asset),
    /// All that is, once.
    State,
    /// All that is, and what changes.
    Events,
    /// All that is known of a VM.
    Vm(Uid),
    /// A VM's console from here on.
    Console(Uid, ConsolePlace),
}

/// Why nothing is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoute {
    /// There is no such path.
    Path,
    /// It takes no such query.
    Query,
}

impl Route {
    /// Reads a path and its query.
    pub fn parse(path: &str, query: Option<&str>) -> Result<Self, NoRoute> {
        let route = match path {
            "/api/state" => Self::State,
            "/api/events" => Self::Events,
            _ => match path.strip_prefix("/api/vms/") {
                Some(rest) => return of_vm(rest, query),
                None => Self::Asset(assets::find(path).ok_or(NoRoute::Path)?),
            },
        };
        match (query, route) {
            // What others add to links to a page is nothing to us.
            (None, _) | (_, Self::Asset(_)) => Ok(route),
            (Some(_), _) => Err(NoRoute::Query),
        }
    }

    /// Whether it tells something of the host.
    pub fn needs_key(&self) -> bool {
        !matches!(self, Self::Asset(_))
    }
}

fn of_vm(rest: &str, query: Option<&str>) -> Result<Route, NoRoute> {
    let (uid, what) = match rest.split_once('/') {
        Some((uid, what)) => (uid, Some(what)),
        None => (rest, None),
    };
    let uid: Uid = uid.parse().map_err(|_| NoRoute::Path)?;
    match (what, query) {
        (None, None) => Ok(Route::Vm(uid)),
        (None, Some(_)) => Err(NoRoute::Query),
        (Some("console"), query) => {
            let place = place(query.unwrap_or_default()).ok_or(NoRoute::Query)?;
            Ok(Route::Console(uid, place))
        }
        (Some(_), _) => Err(NoRoute::Path),
    }
}

/// `file=INODE&from=OFFSET`: both, or nothing for a reader that begins.
fn place(query: &str) -> Option<ConsolePlace> {
    if query.is_empty() {
        return Some(ConsolePlace::default());
    }
    let (file, offset) = query.split_once('&')?;
    Some(ConsolePlace {
        file: number(file.strip_prefix("file=")?)?,
        offset: number(offset.strip_prefix("from=")?)?,
    })
}

/// Digits alone: no sign, no blanks.
fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0123456789abcdef";

    #[test]
    fn what_there_is() {
        assert_eq!(Route::parse("/api/state", None), Ok(Route::State));
        assert_eq!(Route::parse("/api/events", None), Ok(Route::Events));
        let uid: Uid = UID.parse().expect("a uid");
        let vm = format!("/api/vms/{UID}");
        assert_eq!(Route::parse(&vm, None), Ok(Route::Vm(uid)));
        let console = format!("{vm}/console");
        let start = ConsolePlace::default();
        assert_eq!(Route::parse(&console, None), Ok(Route::Console(uid, start)));
        let place = ConsolePlace { file: 7, offset: 9 };
        let query = Some("file=7&from=9");
        assert_eq!(
            Route::parse(&console, query),
            Ok(Route::Console(uid, place))
        );
        assert!(matches!(
            Route::parse("/", Some("from=chat")),
            Ok(Route::Asset(_))
        ));
    }

    #[test]
    fn what_there_is_not() {
        for path in [
            "",
            "//",
            "/../etc/passwd",
            "/app.js/",
            "/api",
            "/api/",
            "/api/vms/",
            "/api/vms/x",
            "/api/state/",
            "/api/vms/0123456789ABCDEF",
            "/api/vms/0123456789abcdef/",
            "/api/vms/0123456789abcdef/disk",
            "/api/vms/..%2f..",
            "/%2e%2e/etc/passwd",
            "*",
        ] {
            assert_eq!(Route::parse(path, None), Err(NoRoute::Path), "{path}");
        }
    }

    #[test]
    fn queries_are_understood_whole_or_not_at_all() {
        let console = format!("/api/vms/{UID}/console");
        for query in [
            "from=9",
            "file=7",
            "from=9&file=7",
            "file=7&from=-1",
            "file=7&from=+1",
            "file=7&from=",
            "file=7&from=9&x=1",
            "file=7&from=99999999999999999999999",
            "file=7&from=0x9",
            "x",
        ] {
            assert_eq!(
                Route::parse(&console, Some(query)),
                Err(NoRoute::Query),
                "{query}"
            );
        }
        assert_eq!(Route::parse("/api/state", Some("x")), Err(NoRoute::Query));
        assert_eq!(Route::parse("/api/events", Some("")), Err(NoRoute::Query));
    }
}
