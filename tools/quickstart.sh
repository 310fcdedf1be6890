#!/usr/bin/env bash
# The first minute: a VM with a published port, and a page fetched from it.
#
#   tools/quickstart.sh [IMAGE]       a registry reference or another source;
#                                     without one a minimal Debian made from the
#                                     distribution's packages
#   PORT=8080                         the port of this machine to publish
#
# What is on the machine before the first run is written down, so that
# tools/quickstart-clean.sh takes back exactly what came after.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=quickstart/names.sh
. "$(dirname "$0")/quickstart/names.sh"
image=${1:-}
port=${PORT:-8080}

step() { say "" && say "==> $*"; }

# show COMMAND...: what a person would type, then its output.
show() {
    say "\$ ${prompt}$*"
    as_root "$@"
}
prompt=
[ "$(id -u)" = 0 ] || prompt='sudo '

# remember: the machine before the first quick start, as name=value lines.
remember() {
    [ -e "$before" ] && return
    mkdir -p "$(dirname "$before")"
    {
        [ -e "$conflist" ] && echo conflist=yes
        [ -e "$data" ] && echo data=yes
        [ -e "$plugins_data" ] && echo plugins_data=yes
        echo "ip_forward=$(cat /proc/sys/net/ipv4/ip_forward)"
    } >"$before"
}

# The kernel to boot: this machine's own if its files are here, else the
# distribution's, unpacked and not installed.
kernel_source() {
    local release
    release=$(uname -r)
    if [ -r "/boot/vmlinuz-$release" ] && [ -d "/lib/modules/$release/kernel" ]; then
        echo host
    else
        tools/kernel.sh >/dev/null
        echo ./build/kernel/tree
    fi
}

# page: fetches it, waiting for the web server to come up.
page() {
    local attempt
    for ((attempt = 0; attempt < 60; attempt++)); do
        curl --silent --show-error --fail --max-time 5 "http://127.0.0.1:$port/" 2>"$scratch" && return
        sleep 0.5
    done
    fail "no page at http://127.0.0.1:$port/: $(cat "$scratch")" "what the VM says: ${prompt}$ignite logs $vm"
}

cd "$top"
scratch=$(mktemp)
trap 'rm -f "$scratch"' EXIT
remember

step "A kernel and an image"
kernel=$(kernel_source)
if [ -z "$image" ]; then
    tools/images.sh quickstart
    image=oci:build/images/quickstart
fi
# A failed import ends this here: set -e looks at an assignment alone.
id=$(as_root "$ignite" kernel import --quiet "$kernel")
record_made kernel "$id"
id=$(as_root "$ignite" image import --quiet "$image")
record_made image "$id"

step "A VM"
if as_root "$ignite" inspect vm "$vm" >/dev/null 2>&1; then
    as_root "$ignite" rm --force --quiet "$vm" >/dev/null
fi
show "$ignite" run --name "$vm" --network "$network" --kernel-image "$kernel" --ports "$port:80" "$image"
show "$ignite" ps

step "A page from the VM, through the published port"
say "\$ curl http://127.0.0.1:$port/"
page

step "What to try next"
# try COMMAND WHAT: a line of the list.
try() { printf '  %-42s %s\n' "$1" "$2"; }
try "${prompt}$ignite exec $vm -- uname -a" "run something in the VM"
try "${prompt}$ignite logs $vm" "what it printed"
try "${prompt}$ignite inspect vm $vm" "all that is known of it"
try "${prompt}$ignite help run" "more VMs: memory, ports, DNS, ..."
try "make quickstart IMAGE=nginx:alpine" "an image from a registry"
try "make quickstart-clean" "take all of this back"
