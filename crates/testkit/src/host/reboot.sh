# shellcheck shell=sh
# What a reboot takes away from a host whose processes have ended: namespaces,
# control groups, links, rules, /run, and the boot's identity. /etc and /var/lib stay.
set -eu
for name in /run/netns/*; do
    [ ! -e "$name" ] || umount "$name" || true
done
umount -l /run/netns 2>/dev/null || true
find /run -mindepth 1 -delete
mkdir -p /run/lock /run/home
for link in /sys/class/net/*; do
    case ${link##*/} in
        # Those a test joined to a LAN are the machine's hardware.
        lo | eth[0-9]*) ;;
        *) ip link delete "${link##*/}" 2>/dev/null || true ;;
    esac
done
nft flush ruleset
find /sys/fs/cgroup -mindepth 2 -depth -type d -path '*/ignite/*' -exec rmdir {} +
# Only this host sees it.
cat /proc/sys/kernel/random/uuid > /run/boot_id
mount --bind /run/boot_id /proc/sys/kernel/random/boot_id
