#!/usr/bin/env bash
# Makes an OCI image layout of one root file system.
#
#   tools/oci.sh ROOTFS.tar LAYOUT TAG CONFIG
#
# CONFIG is the JSON object that becomes the image's `config` (Entrypoint,
# Cmd, Env, WorkingDir, User). OCI image specification 1.1, image-layout.md.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
[ $# = 4 ] || fail "four arguments are needed" "usage: tools/oci.sh ROOTFS.tar LAYOUT TAG CONFIG"
rootfs=$1 layout=$2 tag=$3 config=$4

# blob FILE: moves it to its place in the layout, prints "DIGEST SIZE".
blob() {
    local digest size
    digest=$(sha256sum "$1" | cut -d' ' -f1)
    size=$(stat -c %s "$1")
    mv "$1" "$layout.new/blobs/sha256/$digest"
    echo "sha256:$digest $size"
}

rm -rf "$layout.new"
mkdir -p "$layout.new/blobs/sha256"
scratch=$layout.new/scratch
diff_id=sha256:$(sha256sum "$rootfs" | cut -d' ' -f1)
gzip -n -1 <"$rootfs" >"$scratch"
read -r layer layer_size < <(blob "$scratch")

printf '{"architecture":"%s","os":"linux","config":%s,"rootfs":{"type":"layers","diff_ids":["%s"]}}' \
    "$(dpkg --print-architecture)" "$config" "$diff_id" >"$scratch"
read -r image image_size < <(blob "$scratch")

type=application/vnd.oci.image
printf '{"schemaVersion":2,"mediaType":"%s.manifest.v1+json","config":{"mediaType":"%s.config.v1+json","digest":"%s","size":%s},"layers":[{"mediaType":"%s.layer.v1.tar+gzip","digest":"%s","size":%s}]}' \
    $type $type "$image" "$image_size" $type "$layer" "$layer_size" >"$scratch"
read -r manifest manifest_size < <(blob "$scratch")

printf '{"imageLayoutVersion":"1.0.0"}' >"$layout.new/oci-layout"
printf '{"schemaVersion":2,"mediaType":"%s.index.v1+json","manifests":[{"mediaType":"%s.manifest.v1+json","digest":"%s","size":%s,"annotations":{"org.opencontainers.image.ref.name":"%s"}}]}' \
    $type $type "$manifest" "$manifest_size" "$tag" >"$layout.new/index.json"
rm -rf "$layout"
mv "$layout.new" "$layout"
