#!/bin/sh
# The container image out of a prepared root file system, without running anything in it: the way to an image of another architecture.
#
#   docker/import.sh ARCH DIR IMAGE     DIR is docker/rootfs.sh's OUT; the settings are those of docker/Dockerfile's last stage
#
# VERSION, COMMIT and SOURCE_DATE_EPOCH come from the environment.
set -eu

arch=$1 dir=$2 image=$3
: "${SOURCE_DATE_EPOCH:=0}"
created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)

# settings: docker import's --change for each instruction behind FROM scratch but COPY and ARG, one a line
settings() {
    sed -n '/^FROM scratch/,$ {/^FROM/d; /^#/d; p}' "$(dirname "$0")/Dockerfile" | sed -e ':a' -e '/\\$/N; s/ *\\\n */ /; ta' | grep -vE '^(COPY|ARG) ' |
        sed -e "s|\$COMMIT|${COMMIT:-}|; s|\$VERSION|${VERSION:-}|; s|\$CREATED|$created|"
}

pack() { # as the Dockerfile's COPY would: all is root's but what is in owned/
    tar --sort=name --format=posix --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime --mtime="@$SOURCE_DATE_EPOCH" --numeric-owner "$@"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
layer=$work/layer
pack --owner=65532 --group=65532 -C "$dir/owned" -cf "$layer" keys out
(cd "$dir/root" && find . -mindepth 1 -maxdepth 1 | LC_ALL=C sort | sed 's|^\./||') | pack --owner=0 --group=0 -C "$dir/root" -rf "$layer" -T -
set --
while read -r setting; do
    set -- "$@" --change "$setting"
done <<end
$(settings)
end
docker import "$@" "$layer" "$image" >/dev/null

# The engine writes down its own architecture and the time of day: both are set right in the image's configuration, so that its id, too, is always the same.
mkdir "$work/saved"
docker save "$image" | tar -C "$work/saved" -x
config=$work/saved/$(sed -n 's/.*"Config":"\([^"]*\)".*/\1/p' "$work/saved/manifest.json")
sed -i -e 's/"architecture":"[^"]*"/"architecture":"'"$arch"'"/' -e 's/"created":"[^"]*"/"created":"'"$created"'"/g' "$config"
tar -C "$work/saved" -c . | docker load -q >/dev/null
echo "$image: linux/$arch"
