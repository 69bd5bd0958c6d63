#!/bin/sh
# A folder with the headers and libraries of another architecture, to cross-build against and to run its programs from.
#
#   docker/sysroot.sh ARCH DIR     ARCH is Debian's name, such as arm64
#
# apt resolves and downloads with a state of its own inside of DIR and dpkg-deb unpacks: the system's packages stay as they are (not all of
# ours can be installed for two architectures at once), and no root is needed. DIR/packages says which package (version, source, its version) each
# library is of. Nothing is done when DIR is complete already.
set -eu

arch=$1 dir=$2
packages="libc6-dev libzmq3-dev libcjson-dev libstb-dev libdeflate-dev libopenexr-dev libassimp-dev libsodium-dev libzstd-dev libmicrohttpd-dev libcurl4-openssl-dev libcmocka-dev"

[ "$(cat "$dir/complete" 2>/dev/null || true)" = "$arch $packages" ] && [ -f "$dir/packages" ] && exit 0
rm -rf "$dir"
mkdir -p "$dir/apt/lists/partial" "$dir/apt/archives/partial"
dir=$(cd "$dir" && pwd)
: > "$dir/apt/status"

fetch() {
    apt-get -qq -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o APT::Sandbox::User= -o Debug::NoLocking=true \
        -o Dir::State="$dir/apt" -o Dir::State::Lists="$dir/apt/lists" -o Dir::State::status="$dir/apt/status" \
        -o Dir::Cache="$dir/apt" -o Dir::Cache::Archives="$dir/apt/archives" "$@"
}

echo "fetching the libraries of $arch"
fetch update
# shellcheck disable=SC2086 # one word a package
fetch install -y --no-install-recommends --download-only $packages >/dev/null
for package in "$dir"/apt/archives/*.deb; do
    dpkg-deb -x "$package" "$dir"
    # shellcheck disable=SC2016 # dpkg-deb's own variables
    of=$(dpkg-deb -W --showformat='${Package} ${Version} ${source:Package} ${source:Version}' "$package")
    dpkg-deb -c "$package" | sed -n 's/^[^d].* \.\(\/[^ ]*\.\(a\|o\|so[.0-9]*\)\)\( -> .*\)\{0,1\}$/\1/p' | sed "s|^|$of |"
done > "$dir/packages"
rm -rf "$dir/apt"
echo "$arch $packages" > "$dir/complete"
