#!/usr/bin/env bash
# Makes images from the distribution's packages, as OCI layouts, once each.
#
#   tools/images.sh NAME...       -> build/images/NAME (an `oci:` source)
#
#   quickstart  a minimal Debian with a tiny web server whose page names its VM
#   busy        nothing but busybox and the test service: boots fastest
#   systemd     Debian with systemd, its own DHCP client, the test service
#
# An image is made again when the way it is made or what goes into it changed.
# shellcheck disable=SC2016 # mmdebstrap and apt expand their own variables
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
images=$build/images
helper=$build/testkit/testkit-helper

# The release this machine runs, and the mirror its apt uses for it.
suite() { (. /etc/os-release && echo "$VERSION_CODENAME"); }
mirror() {
    apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' |
        sed -n "s/^$(suite) //p" | head -n 1
}

# debian TAR PACKAGES [HOOK...]: a root file system of packages; each HOOK is
# a shell command that finds the tree in $1.
debian() {
    local tar=$1 packages=$2 hooks=() hook
    shift 2
    for hook in "$@"; do
        hooks+=("--customize-hook=$hook")
    done
    say "Making a root file system of $(suite) with $packages (half a minute)"
    as_root mmdebstrap --quiet --variant=minbase --mode=root --include="$packages" \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin' \
        "${hooks[@]}" "$(suite)" "$tar" "$(mirror)" >&2
    give_back "$tar"
}

make_quickstart() {
    debian "$1" busybox-static 'copy-in tools/quickstart/web /usr/local/bin'
    tools/oci.sh "$1" "$2" quickstart '{"Entrypoint":["/usr/local/bin/web"]}'
}

make_busy() {
    local tree=$1.d applet
    mkdir -p "$tree"/{bin,sbin,dev,etc,home/user,lib,proc,root,run,sys,tmp,usr/bin,var}
    chmod 1777 "$tree/tmp"
    install -m 755 /bin/busybox "$helper" "$tree/bin/"
    for applet in $(/bin/busybox --list); do
        [ "$applet" = busybox ] || ln -sf busybox "$tree/bin/$applet"
    done
    # /sbin/init and its like would make this an image with an init.
    rm -f "$tree/bin/init" "$tree/bin/linuxrc"
    printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n' >"$tree/etc/passwd"
    printf 'root:x:0:\nuser:x:1000:\n' >"$tree/etc/group"
    chmod 700 "$tree/root"
    tar -C "$tree" --owner=0 --group=0 --numeric-owner --sort=name -cf "$1" .
    rm -rf "$tree"
    tools/oci.sh "$1" "$2" busy \
        '{"Cmd":["/bin/testkit-helper","serve"],"Env":["PATH=/bin:/sbin:/usr/bin","FROM_IMAGE=yes"],"WorkingDir":"/home"}'
}

make_systemd() {
    debian "$1" systemd-sysv,udev,kmod,iproute2 \
        'copy-in build/testkit/testkit-helper /usr/bin' \
        'copy-in tools/images/testkit.service tools/images/mark.service /etc/systemd/system' \
        'copy-in tools/images/20-eth.network /etc/systemd/network' \
        'chroot "$1" systemctl -q enable testkit.service mark.service systemd-networkd.service'
    tools/oci.sh "$1" "$2" systemd '{}'
}

# key NAME: what the image was made of.
key() {
    local inputs=(tools/oci.sh)
    case $1 in
    quickstart) inputs+=(tools/quickstart/web) ;;
    busy) inputs+=("$helper" /bin/busybox) ;;
    systemd) inputs+=("$helper" tools/images/*) ;;
    esac
    { declare -f debian "make_$1" && suite && sha256sum "${inputs[@]}"; } | sha256sum | cut -d' ' -f1
}

make_image() {
    local name=$1 wanted
    declare -F "make_$name" >/dev/null || fail "no image is called $name" "there are: quickstart busy systemd"
    wanted=$(key "$name")
    [ "$(cat "$images/$name.key" 2>/dev/null)" = "$wanted" ] && return
    mkdir -p "$images"
    "make_$name" "$images/$name.tar" "$images/$name"
    rm -f "$images/$name.tar"
    # Not written over: in a copy of build/ made of links it is another copy's as well.
    echo "$wanted" >"$images/$name.key.new"
    mv "$images/$name.key.new" "$images/$name.key"
}

[ $# -gt 0 ] || fail "which images?" "usage: tools/images.sh quickstart|busy|systemd..."
cd "$top"
exec {lock}>"$build/.images.lock"
flock "$lock"
for name in "$@"; do
    make_image "$name"
done
