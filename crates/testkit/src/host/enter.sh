# shellcheck shell=sh
# shellcheck disable=SC2154 # the variables come from the environment
# The first steps of a host, inside its new namespaces, as root.
#
#   $name    its name              $directory  its place on the disk
#   $data    none, or an overlay's lower directory for /var/lib/ignite
#   $into    none, or a directory bound to /var/lib/ignite
#   $groups  the name of its part of every hierarchy of control groups
#   $helper  the program that holds the namespaces from then on
set -eu

hostname "$name"
ip link set lo up

# Sysfs of this network namespace. Control groups are those of the machine, but
# for the VMMs': theirs are in a part of the host's own.
mkdir -p "$directory/cgroup"
mount --rbind /sys/fs/cgroup "$directory/cgroup"
mount -t sysfs sysfs /sys
mount --rbind "$directory/cgroup" /sys/fs/cgroup
umount -l "$directory/cgroup"
for hierarchy in memory cpu cpuacct cpu,cpuacct pids unified .; do
    hierarchy=/sys/fs/cgroup/$hierarchy
    if [ -f "$hierarchy/cgroup.procs" ] && [ ! -L "$hierarchy" ]; then
        mkdir -p "$hierarchy/ignite"
        mkdir "$hierarchy/$groups"
        if grep -qs memory "$hierarchy/cgroup.controllers"; then
            for place in "$hierarchy" "$hierarchy/$groups"; do
                echo +memory +cpu +pids > "$place/cgroup.subtree_control"
            done
        fi
        mount --bind "$hierarchy/$groups" "$hierarchy/ignite"
    fi
done

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
