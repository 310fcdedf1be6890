//! The page and its parts, in the program itself.

/// A part of the page.
#[derive(Debug, PartialEq, Eq)]
pub struct Asset {
    /// Its path.
    pub path: &'static str,
    /// What it is (RFC 9110, 8.3).
    pub kind: &'static str,
    /// Its bytes.
    pub bytes: &'static [u8],
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! assets {
    ($($path:literal => $kind:ident $file:literal,)+) => {
        &[$(Asset {
            path: $path,
            kind: $kind,
            bytes: include_bytes!(concat!("../assets/", $file)),
        },)+]
    };
}

const ASSETS: &[Asset] = assets! {
    "/" => HTML "index.html",
    "/style.css" => CSS "style.css",
    "/icon.svg" => SVG "icon.svg",
    "/app.js" => SCRIPT "app.js",
    "/console.js" => SCRIPT "console.js",
    "/curve.js" => SCRIPT "curve.js",
    "/dom.js" => SCRIPT "dom.js",
    "/format.js" => SCRIPT "format.js",
    "/history.js" => SCRIPT "history.js",
    "/layout.js" => SCRIPT "layout.js",
    "/list.js" => SCRIPT "list.js",
    "/map.js" => SCRIPT "map.js",
    "/panel.js" => SCRIPT "panel.js",
    "/stream.js" => SCRIPT "stream.js",
    "/theme.js" => SCRIPT "theme.js",
};

/// The part with this path.
pub fn find(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every word between quotes that is a file of ours.
    fn named(text: &str) -> Vec<String> {
        let words = text.split(['"', '\'']).skip(1).step_by(2);
        let files = words.filter(|word| {
            let ends = [".js", ".css", ".svg"]
                .iter()
                .any(|end| word.ends_with(end));
            ends && !word.contains(' ')
        });
        files
            .map(|word| {
                word.trim_start_matches("./")
                    .trim_start_matches('/')
                    .to_owned()
            })
            .collect()
    }

    #[test]
    fn every_part_that_a_part_names_is_there_and_none_from_elsewhere() {
        for asset in ASSETS {
            let text = std::str::from_utf8(asset.bytes).expect("text");
            for file in text
                .lines()
                .filter(|line| {
                    line.contains("import ") || line.contains("src=") || line.contains("href=")
                })
                .flat_map(named)
            {
                assert!(
                    find(&format!("/{file}")).is_some(),
                    "{} names {file}",
                    asset.path
                );
            }
            let foreign = text.replace("http://www.w3.org/2000/svg", "");
            assert!(
                !foreign.contains("://"),
                "{} names another place",
                asset.path
            );
        }
    }

    #[test]
    fn nothing_is_inline_and_nothing_becomes_markup() {
        for asset in ASSETS {
            let text = std::str::from_utf8(asset.bytes).expect("text");
            for word in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                " style=",
                " onclick=",
            ] {
                assert!(!text.contains(word), "{} has {word}", asset.path);
            }
        }
    }
}
