#!/usr/bin/env bash
# Builds the driver over libcni that tests and benches compare with: the
# library and the Go compiler are the distribution's, unpacked and not
# installed.
#
#   tools/libcni.sh    -> build/tools/libcni-driver
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

source=$top/crates/testkit/src/libcni/main.go
driver=$build/tools/libcni-driver
library=golang-github-appc-cni-dev

[ "$driver" -nt "$source" ] && exit
release=$(apt-cache depends golang-go | sed -n 's/^ *Depends: golang-\([0-9.]*\)-go$/\1/p')
[ -n "$release" ] || fail "there is no package golang-go" "run: apt-get update"
"$top/tools/unpack.sh" "golang-$release-go" "golang-$release-src" "$library"

# Each of the two packages links to the other's half.
scratch=$(mktemp -d "$build/tools/.go.XXXXXX")
trap 'chmod -R u+w "$scratch"; rm -rf "$scratch"' EXIT
for half in go src; do
    cp -al "$build/tools/golang-$release-$half/usr" "$scratch"
done
say "Building the driver over libcni"
GO111MODULE=off CGO_ENABLED=0 GOFLAGS=-trimpath \
    GOROOT=$scratch/usr/lib/go-$release GOCACHE=$scratch/cache \
    GOPATH=$build/tools/$library/usr/share/gocode \
    "$scratch/usr/lib/go-$release/bin/go" build -o "$driver" "$source"
# Half a gigabyte that nothing needs any more.
rm -rf "$build/tools/golang-$release-"{go,src}
