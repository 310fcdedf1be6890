#!/usr/bin/env bash
# One network for the VMs of several hosts, as people know it from Weave
# Ignite: udp on port 8285, 10.50.0.0/16, an etcd without TLS on the first
# host. All of it is `ignite overlay`, which can do more, and safer.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: ignite-flannel.sh [-h|--help] ACTION

Actions:
  init          make this host the first one: etcd, the network's configuration, the agent
  join HOST     make this host one more; HOST is the first one, by address or name
  cleanup       take it all off this host again, but for devices and routes

Open between the hosts: 2379/tcp and 8285/udp. Nothing is encrypted, and whoever reaches etcd may change
the network: see `ignite overlay --help` for what is.
TEXT
}

# wrong [TEXT]: not understood.
wrong() {
    [ $# -eq 0 ] || printf 'error: %s\n' "$1" >&2
    usage >&2
    exit 1
}

# step TEXT...: progress, as it has always looked.
step() {
    if [ -t 1 ]; then
        printf '\033[1;32m==>\033[0m \033[1m%s\033[0m\n' "$*"
    else
        printf '==> %s\n' "$*"
    fi
}

# overlay ARGUMENT...: runs `ignite overlay`; what it is doing, and prints, becomes steps.
overlay() {
    "$ignite" overlay "$@" 2>&1 | while IFS= read -r line; do
        case $line in
        error:* | hint:* | warning:* | ' '*) printf '%s\n' "$line" >&2 ;;
        *) step "$line" ;;
        esac
    done
}

# find_ignite: beside this script where it is installed, in the source tree, or in PATH.
find_ignite() {
    local own
    own=$(dirname "$(readlink -f "$0")")
    for ignite in "$own/ignite" "$own/../build/bin/ignite" "$(command -v ignite || true)"; do
        [ ! -x "$ignite" ] || return 0
    done
    printf 'error: the program ignite is not found\nhint: make install\n' >&2
    exit 1
}

action='' host=''
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        usage
        exit
        ;;
    init | cleanup | join)
        [ -z "$action" ] || wrong "one action at a time: $action or $1"
        action=$1
        if [ "$action" = join ]; then
            [ $# -gt 1 ] || wrong "join which host?"
            host=$2
            shift
        fi
        ;;
    *) wrong "not understood: $1" ;;
    esac
    shift
done
[ -n "$action" ] || wrong
find_ignite
if [ "$(id -u)" != 0 ]; then
    exec sudo -- "$(readlink -f "$0")" "$action" ${host:+"$host"}
fi

case $action in
init)
    overlay init --insecure --backend udp --port 8285 --network 10.50.0.0/16 --subnet-len 24 \
        --subnet-min 10.50.10.0 --subnet-max 10.50.99.0
    step "Ready. Start VMs with the network plugin cni: ignite run IMAGE"
    ;;
join)
    overlay join "$host"
    step "Ready. See how it came about with: ignite overlay logs"
    ;;
cleanup)
    overlay leave --force
    step "Cleaned up. Devices and routes stay until the next boot, or until: ignite overlay leave --all"
    ;;
esac
