#!/bin/sh
# The Debian packages that mobyray needs, for the Makefile, CI and the container image: each set of them is a file of docker/packages. (One each, so that the image's
# layer of packages is built anew when a set of its own changes, and not with every other.)
#
#   docker/deps.sh SET...          installs what is missing of the sets; as another user than root it prints the command to run instead and fails
set -eu

lists=$(dirname "$0")/packages
missing=
for set in "$@"; do
    if [ ! -f "$lists/$set" ]; then
        echo "deps.sh: unknown set '$set', expected one of:" "$lists"/* | sed "s|$lists/||g" >&2
        exit 2
    fi
    while read -r package; do
        case $package in '' | '#'*) continue ;; esac
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing="$missing $package"
    done < "$lists/$set"
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
