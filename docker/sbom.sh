#!/bin/sh
# The image's bill of materials, SPDX 2.3 in JSON, from what docker/rootfs.sh put into ROOT and what dpkg knows of it:
# ROOT/usr/share/mobyray/sbom.spdx.json.
#
#   docker/sbom.sh ARCH ROOT CONTENTS [SYSROOT]
#
# CONTENTS has a line for each part: `copied PACKAGE PLACE`, `linked PACKAGE ARCHIVE`, `built SOURCE VERSION`.
# VERSION, COMMIT and SOURCE_DATE_EPOCH come from the environment. The same parts give the same bytes.
set -eu

arch=$1 root=$2 contents=$3 sysroot=${4-}
version=${VERSION:-0} commit=${COMMIT:-}
file=$root/usr/share/mobyray/sbom.spdx.json
mkdir -p "$(dirname "$file")"

id() { # a name as SPDX writes identifiers
    printf '%s' "$1" | tr -c 'A-Za-z0-9.' '-'
}

# details PACKAGE: version, source package, its version
details() {
    found=
    [ -z "$sysroot" ] || found=$(awk -v package="$1" '$1 == package {print $2, $3, $4; exit}' "$sysroot/packages")
    # shellcheck disable=SC2016 # dpkg-query's own variables
    [ -n "$found" ] || found=$(dpkg-query -W -f '${Version} ${source:Package} ${source:Version}\n' "$1" | head -n 1)
    echo "$found"
}

quoted() { # a version in a package URL
    printf '%s' "$1" | sed 's/%/%25/g; s/+/%2B/g; s/:/%3A/g; s/~/%7E/g'
}

package() { # NAME ID VERSION PURL SOURCE
    printf '    {"SPDXID": "SPDXRef-Package-%s", "name": "%s", "versionInfo": "%s", "downloadLocation": "NOASSERTION", "filesAnalyzed": false,\n' "$2" "$1" "$3"
    printf '     "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION", "copyrightText": "NOASSERTION", "supplier": "Organization: Debian",\n'
    printf '     "sourceInfo": "%s", "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": "%s"}]}' "$5" "$4"
}

packages() {
    printf '    {"SPDXID": "SPDXRef-Package-mobyray", "name": "mobyray", "versionInfo": "%s", "downloadLocation": "NOASSERTION", "filesAnalyzed": false,\n' "$version"
    printf '     "licenseConcluded": "MIT", "licenseDeclared": "MIT", "copyrightText": "NOASSERTION", "primaryPackagePurpose": "APPLICATION",\n'
    printf '     "sourceInfo": "commit %s"}' "${commit:-unknown}"
    awk '$1 != "built" {print $2}' "$contents" | sort -u | while read -r name; do
        # shellcheck disable=SC2046 # three words
        set -- $(details "$name")
        printf ',\n'
        package "$name" "$(id "$name")" "$1" "pkg:deb/debian/$name@$(quoted "$1")?arch=$arch" "built by Debian from source package $2 $3"
    done
    awk '$1 == "built" {print $2, $3}' "$contents" | while read -r name at; do
        printf ',\n'
        package "$name" "source-$(id "$name")" "$at" "pkg:deb/debian/$name@$(quoted "$at")?arch=source" "built here from Debian's source package, see docker/curl.sh"
    done
}

files() {
    separator=
    find "$root" -type f ! -path "$file" | LC_ALL=C sort | while read -r path; do
        place=${path#"$root"/}
        printf '%s    {"SPDXID": "SPDXRef-File-%s", "fileName": "./%s", "licenseConcluded": "NOASSERTION", "copyrightText": "NOASSERTION",\n' \
            "$separator" "$(id "$place")" "$place"
        printf '     "checksums": [{"algorithm": "SHA1", "checksumValue": "%s"}, {"algorithm": "SHA256", "checksumValue": "%s"}]}' \
            "$(sha1sum < "$path" | cut -d' ' -f1)" "$(sha256sum < "$path" | cut -d' ' -f1)"
        separator=",
"
    done
}

relation() {
    printf ',\n    {"spdxElementId": "%s", "relationshipType": "%s", "relatedSpdxElement": "%s"}' "$1" "$2" "$3"
}

# CONTAINS would say that a package's files have all been looked at; here they are some files of each.
relations() {
    printf '    {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-Package-mobyray"}'
    awk '$1 == "copied" {print $2}' "$contents" | sort -u | while read -r name; do
        relation SPDXRef-Package-mobyray DYNAMIC_LINK "SPDXRef-Package-$(id "$name")"
    done
    awk '$1 == "linked" {print $2} $1 == "built" {print "source-" $2}' "$contents" | sort -u | while read -r name; do
        relation SPDXRef-Package-mobyray STATIC_LINK "SPDXRef-Package-$(id "$name")"
    done
    awk '$1 == "copied" {print $2, $3}' "$contents" | while read -r name place; do
        relation "SPDXRef-File-$(id "$place")" EXPANDED_FROM_ARCHIVE "SPDXRef-Package-$(id "$name")"
    done
    relation SPDXRef-File-usr-bin-mobyray GENERATED_FROM SPDXRef-Package-mobyray
}

{
    printf '{\n  "spdxVersion": "SPDX-2.3",\n  "dataLicense": "CC0-1.0",\n  "SPDXID": "SPDXRef-DOCUMENT",\n  "name": "mobyray-%s-%s",\n' "$version" "$arch"
    printf '  "documentNamespace": "https://spdx.org/spdxdocs/mobyray-%s-%s-%s",\n' "$version" "$arch" \
        "$(cat "$root/usr/bin/mobyray" "$contents" | sha256sum | cut -c1-32)"
    printf '  "creationInfo": {"created": "%s", "creators": ["Tool: mobyray-docker-sbom.sh"]},\n' \
        "$(date -u -d "@${SOURCE_DATE_EPOCH:-0}" +%Y-%m-%dT%H:%M:%SZ)"
    printf '  "packages": [\n%s\n  ],\n  "files": [\n%s\n  ],\n  "relationships": [\n%s\n  ]\n}\n' "$(packages)" "$(files)" "$(relations)"
} > "$file"
