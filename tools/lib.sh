# shellcheck shell=bash
# What the scripts of tools/ share: words for people, becoming root, apt.
# Sourced, never run.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034 # for the scripts that source this
build=$top/build

# say TEXT...: progress, on stderr, so that a script's stdout is its result.
say() { printf '%s\n' "$*" >&2; }

# fail TEXT [HINT]: one error, one thing to do, and out.
fail() {
    printf 'error: %s\n' "$1" >&2
    [ -z "${2:-}" ] || printf 'hint: %s\n' "$2" >&2
    exit 1
}

# as_root COMMAND...: runs it as root, through sudo where we are somebody else.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "this needs root: $*" "run it as root, or install sudo"
    fi
}

# give_back PATH...: what root made in the build directory belongs to the
# owner of the source tree.
give_back() { as_root chown -R --no-dereference "$(stat -c %u:%g "$top")" "$@"; }

# The distribution: debian, ubuntu or the nearest of the two.
distribution() {
    local ID='' ID_LIKE=''
    # shellcheck source=/dev/null
    . /etc/os-release
    case " $ID $ID_LIKE " in
    *' ubuntu '*) echo ubuntu ;;
    *' debian '*) echo debian ;;
    *) fail "this is neither Debian nor Ubuntu: $ID" "install the packages named in tools/packages.sh by hand" ;;
    esac
}

# apt_get ARGUMENT...: never asks, waits for another apt to finish.
apt_get() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@"
}

# apt_update: fetches the package lists, once in the life of a build tree.
apt_update() {
    local root_apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
    say "Fetching the package lists"
    as_root "${root_apt[@]}" update >&2
}

# apt_download DIRECTORY PACKAGE...: fetches .deb files without installing
# them; the lists are renewed if the package is not where they say.
apt_download() {
    local directory=$1
    shift
    mkdir -p "$directory"
    (cd "$directory" && apt_get -o APT::Sandbox::User=root download "$@" >&2) && return
    apt_update
    (cd "$directory" && apt_get -o APT::Sandbox::User=root download "$@" >&2)
}
