#!/bin/sh
# The container image's whole root file system: mobyray, the dynamic loader, exactly the libraries that they name, the scenes, an SBOM.
#
#   docker/rootfs.sh ARCH BINARY LINKED CURL OUT [SYSROOT]
#
# ARCH     Debian's name: amd64 or arm64
# BINARY   mobyray, linked for the image (`make image-root`)
# LINKED   what the linker read for it (ld --trace)
# CURL     docker/curl.sh's folder
# OUT      OUT/root is made anew: everything that is root's; and OUT/owned: folders for the image's own user
# SYSROOT  for another architecture than this machine's: docker/sysroot.sh's folder
#
# VERSION, COMMIT and SOURCE_DATE_EPOCH (seconds; all files bear that time) come from the environment. Libraries are Debian's files, untouched.
set -eu

arch=$1 binary=$2 linked=$3 curl=$4 out=$5 sysroot=${6-}
: "${SOURCE_DATE_EPOCH:=0}"
here=$(dirname "$0")
case $arch in
    amd64) triplet=x86_64-linux-gnu ;;
    arm64) triplet=aarch64-linux-gnu ;;
    *) echo "rootfs.sh: architecture '$arch', expected amd64 or arm64" >&2; exit 2 ;;
esac
umask 022
rm -rf "$out/root" "$out/owned"
mkdir -p "$out/root" "$out/owned/keys/coordinator" "$out/owned/keys/worker" "$out/owned/keys/client" "$out/owned/out"
chmod 700 "$out"/owned/keys/*
root=$out/root contents=$out/contents
: > "$contents"

find_library() {
    for folder in "$sysroot/lib/$triplet" "$sysroot/usr/lib/$triplet"; do
        [ ! -e "$folder/$1" ] || { echo "$folder/$1"; return; }
    done
    echo "rootfs.sh: $1 is not in $sysroot/lib/$triplet or $sysroot/usr/lib/$triplet" >&2
    exit 1
}

needed() {
    readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'
}

# package_of FILE: by its last three parts, since /lib is /usr/lib. What is not in the sysroot (the cross-compiler's own) is this system's.
package_of() {
    place=$(realpath -ms "$1" | sed 's|.*/\([^/]*/[^/]*/[^/]*\)$|\1|')
    package=
    [ -z "$sysroot" ] ||
        package=$(awk -v place="/$place" 'substr($5, length($5) - length(place) + 1) == place {print $1; exit}' "$sysroot/packages")
    [ -n "$package" ] || package=$(dpkg -S "*/$place" 2>/dev/null | head -n 1 | sed 's/[:,].*//')
    echo "$package"
}

copyright_of() {
    from=$sysroot/usr/share/doc/$1/copyright
    [ -f "$from" ] || from=/usr/share/doc/$1/copyright
    if [ -f "$from" ]; then
        mkdir -p "$root/usr/share/doc/$1"
        cp -L "$from" "$root/usr/share/doc/$1/copyright"
    fi
}

copy() { # FILE PLACE
    package=$(package_of "$1")
    [ -n "$package" ] || { echo "rootfs.sh: $1 is of no package" >&2; exit 1; }
    mkdir -p "$root/$(dirname "$2")"
    cp -L "$1" "$root/$2"
    echo "copied $package $2" >> "$contents"
}

install -D -m 755 "$binary" "$root/usr/bin/mobyray"
interpreter=$(readelf -l "$binary" | sed -n 's/.*interpreter: \/\(.*\)]/\1/p')
copy "$(find_library "${interpreter##*/}")" "$interpreter"
seen=" ${interpreter##*/} " queue=$(needed "$binary")
while [ -n "$queue" ]; do
    # shellcheck disable=SC2086 # one word a library
    set -- $queue
    name=$1
    shift
    queue=$*
    case $seen in *" $name "*) continue ;; esac
    seen="$seen$name "
    library=$(find_library "$name")
    copy "$library" "lib/$name"
    queue="$queue $(needed "$library")"
done

# What is linked in: archives and start files; stb is a header alone.
sed -n 's/^[^/]*\(\/[^()]*\.[ao]\).*/\1/p' "$linked" | sort -u | while read -r file; do
    package=$(package_of "$file")
    [ -z "$package" ] || echo "linked $package ${file##*/}"
done | sort -u >> "$contents"
! grep -q libcurl.a "$linked" || echo "built curl $(cut -d' ' -f2 "$curl/source")" >> "$contents"
echo "linked libstb-dev stb" >> "$contents"
cut -d' ' -f2 "$contents" | sort -u | while read -r package; do copyright_of "$package"; done
[ ! -f LICENSE ] || install -D -m 644 LICENSE "$root/usr/share/doc/mobyray/copyright"

# Meshes go in squeezed where make has done that (`mobyray scene squeeze`): a tenth of the room, the same bytes when they are read.
find scenes -name scene.json -o -name '*.ply' | while read -r file; do
    from=build/tools/squeezed/$file
    [ -f "$from" ] || from=$file
    install -D -m 644 "$from" "$root/$file"
done
mkdir -p "$root/etc" "$root/tmp"
chmod 1777 "$root/tmp"
echo "hosts: files dns" > "$root/etc/nsswitch.conf"
"$here/sbom.sh" "$arch" "$root" "$contents" "$sysroot"
find "$out/root" "$out/owned" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
