#!/usr/bin/env bash
# Puts programs, completions and man pages in place.
#
#   tools/install.sh PREFIX           (with DESTDIR in front, if there is one)
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
prefix=$1
cd "$top"

install -d "$prefix/bin" "$prefix/libexec/ignite"
install -m 755 build/bin/ignite "$prefix/bin/"
install -m 755 build/libexec/ignite/ignite-spawn build/libexec/ignite/ignite-guest "$prefix/libexec/ignite/"

# completion SHELL DIRECTORY FILE
completion() {
    install -d "$prefix/share/$2"
    build/bin/ignite completion "$1" >"$prefix/share/$2/$3"
    chmod 644 "$prefix/share/$2/$3"
}
completion bash bash-completion/completions ignite
completion zsh zsh/site-functions _ignite
completion fish fish/vendor_completions.d ignite.fish

pages=$(mktemp -d)
trap 'rm -rf "$pages"' EXIT
build/bin/ignite internal man "$pages"
install -d "$prefix/share/man/man1"
install -m 644 "$pages"/*.1 "$prefix/share/man/man1/"
