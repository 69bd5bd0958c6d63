#!/bin/sh
# libcurl for the container image: Debian's source with Debian's patches, HTTP and Unix sockets alone, as a static library.
# Debian's own libcurl brings 22 libraries and 6 MB, compressed, for protocols that mobyray does not speak.
#
#   docker/curl.sh DIR [COMPILER HOST]   makes DIR/libcurl.a and DIR/source (package and version); the two words cross-build, such as
#                                        "aarch64-linux-gnu-gcc --sysroot=..." aarch64-linux-gnu
#
# apt fetches the source with a state of its own inside of DIR, from the mirrors that this machine uses. Nothing is done when DIR has it already.
set -eu

dir=$1 compiler=${2-cc} host=${3-}
[ ! -f "$dir/libcurl.a" ] || [ ! -f "$dir/source" ] || exit 0
rm -rf "$dir"
mkdir -p "$dir/apt/lists/partial" "$dir/apt/archives/partial" "$dir/apt/sources.list.d"
dir=$(cd "$dir" && pwd)
: > "$dir/apt/status"
sed -n 's/^deb /deb-src /p' /etc/apt/sources.list > "$dir/apt/sources.list" 2>/dev/null || :
for file in /etc/apt/sources.list.d/*.sources; do
    [ ! -f "$file" ] || sed 's/^Types:.*/Types: deb-src/' "$file" > "$dir/apt/sources.list.d/${file##*/}"
done

source_of() {
    apt-get -qq -o APT::Sandbox::User= -o Debug::NoLocking=true -o Dir::State="$dir/apt" -o Dir::State::Lists="$dir/apt/lists" \
        -o Dir::State::status="$dir/apt/status" -o Dir::Cache="$dir/apt" -o Dir::Etc::SourceList="$dir/apt/sources.list" \
        -o Dir::Etc::SourceParts="$dir/apt/sources.list.d" "$@"
}

echo "building libcurl from Debian's source"
source_of update
cd "$dir"
source_of source curl >/dev/null
cd curl-*/
if ! {
    CC=$compiler CFLAGS="-O2 -ffunction-sections -fdata-sections -ffile-prefix-map=$PWD=curl" ./configure -q ${host:+--host="$host"} \
        --disable-shared --enable-static --without-ssl --without-zlib --without-brotli --without-zstd --without-libpsl --without-libidn2 \
        --without-nghttp2 --without-librtmp --without-libgsasl --disable-ldap --disable-ldaps --disable-rtsp --disable-ftp --disable-file \
        --disable-dict --disable-telnet --disable-tftp --disable-pop3 --disable-imap --disable-smb --disable-smtp --disable-gopher \
        --disable-mqtt --disable-manual --disable-libcurl-option --disable-cookies --disable-netrc --disable-ntlm --disable-ares \
        --disable-alt-svc --disable-hsts --disable-proxy --disable-doh --disable-socketpair
    make -s -j"$(nproc)" -C lib libcurl.la
} > "$dir/log" 2>&1; then
    tail -n 30 "$dir/log" >&2
    exit 1
fi
cp lib/.libs/libcurl.a "$dir/libcurl.a"
cd "$dir"
sed -n 's/^Version: /curl /p' curl_*.dsc | head -n 1 > "$dir/source"
rm -rf "$dir"/apt "$dir"/curl[-_]*
