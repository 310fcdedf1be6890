# shellcheck shell=sh
# shellcheck disable=SC2154 # the variables come from the environment
# The first steps of a host, inside its new namespaces, as root.
#
#   $name    its name              $directory  its place on the disk
#   $data    none, or an overlay's lower directory for /var/lib/ignite
#   $into    none, or a directory bound to /var/lib/ignite
#   $helper  the program that holds the namespaces from then on
set -eu

hostname "$name"
ip link set lo up

# Sysfs of this network namespace; control groups stay those of the machine.
mkdir -p "$directory/cgroup"
mount --rbind /sys/fs/cgroup "$directory/cgroup"
mount -t sysfs sysfs /sys
mount --rbind "$directory/cgroup" /sys/fs/cgroup
umount -l "$directory/cgroup"

# An /etc and a /var/lib that can be written without the machine seeing it.
mkdir -p "$directory/memory" "$directory/lib" "$directory/lib.work"
mount -t tmpfs tmpfs "$directory/memory"
mkdir "$directory/memory/etc" "$directory/memory/etc.work"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$directory/memory/etc,workdir=$directory/memory/etc.work" /etc
mount -t overlay overlay -o "lowerdir=/var/lib,upperdir=$directory/lib,workdir=$directory/lib.work" /var/lib
rm -rf /etc/cni /etc/ignite /etc/firecracker /var/lib/cni /var/lib/ignite
mount -t tmpfs tmpfs /run
mkdir -p /run/lock /run/home

if [ -n "$data" ]; then
    mkdir -p "$directory/data" "$directory/data.work" /var/lib/ignite
    mount -t overlay overlay -o "lowerdir=$data,upperdir=$directory/data,workdir=$directory/data.work,redirect_dir=on" /var/lib/ignite
elif [ -n "$into" ]; then
    mkdir -p /var/lib/ignite
    mount --bind "$into" /var/lib/ignite
fi
exec "$helper" hold
