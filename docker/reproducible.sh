#!/bin/sh
# Is the image the same, bit for bit, when it is built again? Builds it twice, the second time anew from the source on (not the packages), and compares
# the layers: the names, contents, rights, owners and times of all files.
#
#   docker/reproducible.sh BASE_IMAGE [docker build's options...]
#
# Prints the layers' digests; exit code 1 if they differ. An image's own id also covers the minute it was built in, as the classic builder writes it down.
set -eu

cd "$(dirname "$0")/.."
base=$1
shift
layers() { # AGAIN [OPTIONS]
    again=$1
    shift
    id=$(docker build -q -f docker/Dockerfile --build-arg BASE_IMAGE="$base" --build-arg AGAIN="$again" "$@" .)
    docker image inspect --format '{{range .RootFS.Layers}}{{println .}}{{end}}' "$id" | sed '/^$/d'
}

first=$(layers "" "$@")
second=$(layers "$(date +%s)-$$" "$@")
echo "$first"
if [ "$first" != "$second" ]; then
    printf 'reproducible.sh: built again, the layers are others:\n%s\n' "$second" >&2
    exit 1
fi
echo "built twice: the same layers"
