# shellcheck shell=sh
# Whatever a VM can leave on a host, a line for each thing, so that two moments
# can be compared. Counters and what a file holds are left out.
set -eu
files() {
    label=$1
    shift
    for place; do
        [ ! -d "$place" ] || find "$place" -mindepth 1 | sed "s|^|$label |"
    done
}
files netns /run/netns
files run /run/ignite
find /sys/fs/cgroup -mindepth 2 -type d -path '*/ignite/*' | sed 's/^/group /'
files cni /var/lib/cni
files vm /var/lib/ignite/vm | grep -v '/index$' || true
files staging /var/lib/ignite/staging | grep -v '/lock$' || true
find /var/lib/ignite -maxdepth 1 -name '.*' | sed 's/^/data /'
find /etc/cni | sed 's/^/etc /'
ip -o link | sed -E 's/^[0-9]+: ([^:@]+).*/link \1/'
ip netns list 2>/dev/null | sed 's/^/ip-netns /' || true
# Devices of the machine, those over a file of this host.
for file in /run/srv/*; do
    [ ! -f "$file" ] || losetup -n -O NAME -j "$file" | sed "s|^|loop $file |"
done
cut -d' ' -f2,3 /proc/mounts | grep -v /boot_id | sed 's/^/mount /'
for save in iptables-save ip6tables-save; do
    $save 2>/dev/null | grep -v '^#' | sed -E "s/\[[0-9]+:[0-9]+\]//; s/^/$save /"
done
nft list tables 2>/dev/null | sed 's/^/nft /'
for family in inet:cni_plugins_masquerade ip:cni_hostport ip6:cni_hostport; do
    nft list table "${family%%:*}" "${family##*:}" 2>/dev/null | sed "s/^/nft $family /" || true
done
