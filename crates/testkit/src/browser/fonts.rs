//! The fonts a browser sees: those unpacked with it, so that a page looks the same on every machine.

use std::path::Path;

/// A configuration of fontconfig.
pub(super) fn configuration(tree: &Path) -> String {
    let alias = |generic: &str, family: &str| {
        format!(
            "<alias binding=\"same\"><family>{generic}</family><prefer><family>{family}</family></prefer></alias>"
        )
    };
    format!(
        "<?xml version=\"1.0\"?><!DOCTYPE fontconfig SYSTEM \"urn:fontconfig:fonts.dtd\">\
         <fontconfig><dir>{}/usr/share/fonts</dir><cachedir>/run/fonts</cachedir>{}{}{}</fontconfig>",
        tree.display(),
        alias("sans-serif", "DejaVu Sans"),
        alias("system-ui", "DejaVu Sans"),
        alias("monospace", "DejaVu Sans Mono"),
    )
}
