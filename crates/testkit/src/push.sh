# shellcheck shell=sh
# shellcheck disable=SC2086 # $curl is a command of several words
# Pushes an OCI layout: push.sh LAYOUT http://REGISTRY NAME TAG
# OCI distribution specification 1.1, "Pushing manifests".
set -eu
layout=$1 registry=$2 name=$3 tag=$4
curl='curl --silent --show-error --fail'
for blob in "$layout"/blobs/sha256/*; do
    upload=$($curl --request POST --output /dev/null --dump-header - "$registry/v2/$name/blobs/uploads/" |
        tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
    $curl --request PUT --header 'Content-Type: application/octet-stream' --data-binary "@$blob" \
        --output /dev/null "$upload&digest=sha256:${blob##*/}"
done
manifest=$(sed 's/.*"manifests":\[{[^}]*"digest":"sha256:\([0-9a-f]*\)".*/\1/' "$layout/index.json")
$curl --request PUT --header 'Content-Type: application/vnd.oci.image.manifest.v1+json' \
    --data-binary "@$layout/blobs/sha256/$manifest" --output /dev/null "$registry/v2/$name/manifests/$tag"
