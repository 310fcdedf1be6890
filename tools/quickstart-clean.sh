#!/usr/bin/env bash
# Takes back what tools/quickstart.sh made: the VM, its image and kernel, and,
# unless something else uses them, the default network's file, bridge and
# packet filter chains. Packages stay installed.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=quickstart/names.sh
. "$(dirname "$0")/quickstart/names.sh"

was() { grep -qsx "$1=yes" "$before"; }

# others KIND: whether the store holds any object of this kind.
others() { [ -n "$(as_root "$ignite" "$@" --quiet)" ]; }

remove_objects() {
    as_root "$ignite" inspect vm "$vm" >/dev/null 2>&1 && as_root "$ignite" rm --force --quiet "$vm" >/dev/null
    local kind id
    while read -r kind id; do
        # Another VM may use it by now; then it stays, and is named.
        as_root "$ignite" "$kind" rm --quiet "$id" >/dev/null || say "kept: $kind $id"
    done < <(cat "$made" 2>/dev/null)
}

# chain_unused TABLE CHAIN PATTERN: whether all its rules match PATTERN.
chain_unused() {
    ! as_root "$iptables" -w -t "$1" -S "$2" 2>/dev/null | grep '^-A' | grep -qvE -e "$3"
}

# drop_chain TABLE CHAIN: the jumps to it, its rules, itself.
drop_chain() {
    local rule
    as_root "$iptables" -w -t "$1" -S "$2" >/dev/null 2>&1 || return 0
    while read -r rule; do
        eval "as_root $iptables -w -t $1 -D ${rule#-A }"
    done < <(as_root "$iptables" -w -t "$1" -S | grep -E -e "-[jg] $2( |\$)")
    as_root "$iptables" -w -t "$1" -F "$2"
    as_root "$iptables" -w -t "$1" -X "$2"
}

# The chains the CNI plugins share: gone only if no container has a rule there.
remove_shared_chains() {
    local iptables chain
    for iptables in iptables ip6tables; do
        if chain_unused filter CNI-FORWARD '-j CNI-ADMIN' && chain_unused filter CNI-ADMIN "ignite: |$bridge"; then
            drop_chain filter CNI-FORWARD
            drop_chain filter CNI-ADMIN
        fi
        if chain_unused nat CNI-HOSTPORT-DNAT 'nothing'; then
            for chain in CNI-HOSTPORT-DNAT CNI-HOSTPORT-MASQ CNI-HOSTPORT-SETMARK; do
                drop_chain nat $chain
            done
        fi
    done
}

# The default network, if the quick start brought it and nobody uses it.
remove_network() {
    was conflist && return
    [ -z "$(ls "/sys/class/net/$bridge/brif" 2>/dev/null)" ] || { say "kept: $bridge is in use"; return; }
    as_root rm -f "$conflist"
    as_root rmdir --ignore-fail-on-non-empty /etc/cni/net.d /etc/cni 2>/dev/null || true
    [ ! -e "/sys/class/net/$bridge" ] || as_root ip link delete "$bridge"
    remove_shared_chains
    as_root rm -rf "$plugins_data/networks/$network"
    was plugins_data || as_root find "$plugins_data" -depth -type d -empty -delete 2>/dev/null || true
    # Forwarding, if it was off and no bridge is left that would need it.
    if grep -qsx ip_forward=0 "$before" && [ -z "$(ip -brief link show type bridge)" ]; then
        echo 0 | as_root tee /proc/sys/net/ipv4/ip_forward >/dev/null
    fi
}

cd "$top"
[ -x "$ignite" ] || fail "$ignite is not there" "make build, then make quickstart-clean again"
[ -e "$before" ] || { say "Nothing to take back: there was no quick start"; exit; }
remove_objects
if ! others ps --all; then
    remove_network
    if ! was data && ! others image ls && ! others kernel ls; then
        as_root rm -rf "$data" /run/ignite
    fi
fi
rm -rf "$(dirname "$before")"
say "Taken back. Packages stay installed; 'make clean' removes what was built."
