#!/bin/sh
# The Debian packages that mobyray needs: the one list for the Makefile, CI and the container image.
#
#   docker/deps.sh SET...          installs what is missing of the sets (build, test, fuzz, lint, docker, bench, arm64, image); as another user than
#                                  root it prints the command to run instead and fails
set -eu

build="gcc clang make pkg-config libc6-dev libzmq3-dev libcjson-dev libstb-dev libdeflate-dev libopenexr-dev libassimp-dev libsodium-dev libzstd-dev libmicrohttpd-dev libcurl4-openssl-dev"
test="prometheus libcmocka-dev faketime python3-pytest python3-jsonschema debootstrap python3-selenium chromium chromium-driver python3-yaml python3-pip iproute2 curl"
fuzz="libclang-rt-dev"
lint="clang-tidy cppcheck shellcheck"
docker="docker.io docker-compose"
bench="libembree-dev"
image="dpkg-dev" # to build libcurl from Debian's source
arm64="gcc-aarch64-linux-gnu qemu-user"

missing=
for set in "$@"; do
    case $set in
        build) packages=$build ;;
        test) packages=$test ;;
        fuzz) packages=$fuzz ;;
        lint) packages=$lint ;;
        docker) packages=$docker ;;
        bench) packages=$bench ;;
        arm64) packages=$arm64 ;;
        image) packages=$image ;;
        *) echo "deps.sh: unknown set '$set', expected build, test, fuzz, lint, docker, bench, arm64 or image" >&2; exit 2 ;;
    esac
    for package in $packages; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing="$missing $package"
    done
done
[ -n "$missing" ] || exit 0

command="apt-get install -y --no-install-recommends$missing"
if ! command -v apt-get >/dev/null; then
    echo "mobyray needs what Debian calls:$missing" >&2
    exit 1
fi
if [ "$(id -u)" != 0 ]; then
    echo "mobyray needs some packages. Please run:" >&2
    echo "    sudo apt-get update && sudo $command" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
echo "installing:$missing"
# The lists may be absent (a slim image) or older than what the mirror has now.
install() {
    # shellcheck disable=SC2086 # one word a package
    apt-get install -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends $missing
}
if ! ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1 || ! install >/dev/null 2>&1; then
    apt-get update -qq
    install >/dev/null
fi
