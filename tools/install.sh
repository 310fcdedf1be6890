#!/usr/bin/env bash
# Puts programs, completions and man pages in place.
#
#   tools/install.sh DESTDIR PREFIX   (DESTDIR is empty, or a directory that stands for /)
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
destdir=$1 prefix=$1$2
own=$2/libexec/ignite
cd "$top"

install -d "$prefix/bin" "$prefix/libexec/ignite/cni"
install -m 755 build/bin/ignite build/bin/ignited tools/ignite-flannel.sh "$prefix/bin/"
install -m 755 build/libexec/ignite/ignite-* "$prefix/libexec/ignite/"
ln -sf ../ignite-cni "$prefix/libexec/ignite/cni/flannel"

# Ignite finds its CNI plugin itself; other programs look here. One that is
# somebody else's stays.
plugin=$destdir/opt/cni/bin/flannel
if [ ! -e "$plugin" ] || [ "$(readlink "$plugin")" = "$own/ignite-cni" ]; then
    install -d "${plugin%/*}"
    ln -sf "$own/ignite-cni" "$plugin"
fi

# The service is installed, and started by who wants it.
unit=$prefix/lib/systemd/system/ignited.service
install -d "${unit%/*}"
sed "s|@bindir@|$2/bin|" tools/systemd/ignited.service >"$unit"
chmod 644 "$unit"

# completion PROGRAM SHELL DIRECTORY FILE
completion() {
    install -d "$prefix/share/$3"
    "build/bin/$1" completion "$2" >"$prefix/share/$3/$4"
    chmod 644 "$prefix/share/$3/$4"
}
for program in ignite ignited; do
    completion $program bash bash-completion/completions $program
    completion $program zsh zsh/site-functions _$program
    completion $program fish fish/vendor_completions.d $program.fish
done

pages=$(mktemp -d)
trap 'rm -rf "$pages"' EXIT
build/bin/ignite internal man "$pages"
build/bin/ignited internal man "$pages"
install -d "$prefix/share/man/man1"
install -m 644 "$pages"/*.1 "$prefix/share/man/man1/"
