# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # for the two scripts that source this after lib.sh
# What the quick start and its undoing must agree on.

ignite=build/bin/ignite
vm=quickstart
# Named, so that another tool's file in /etc/cni/net.d changes nothing.
network=ignite-cni-bridge
bridge=ignite0

conflist=/etc/cni/net.d/10-ignite.conflist
data=/var/lib/ignite
plugins_data=/var/lib/cni

before=$build/quickstart/before
made=$build/quickstart/made

# record_made KIND ID: once each.
record_made() {
    grep -qsx "$1 $2" "$made" || echo "$1 $2" >>"$made"
}
