#!/bin/sh
# Checks every include against the house's layers: who may know whom (and which library is seen where).
set -eu
cd "$(dirname "$0")/.."
bad=0

# allow ROOM PATTERN: files of ROOM include nothing of ours but what matches PATTERN.
allow() {
    if grep -rnE --include='*.[ch]' '^#include "' "$1" 2>/dev/null | grep -vE "#include \"($2)/"; then
        echo "layers: $1 may include only: $2" >&2
        bad=1
    fi
}

# only HEADER PATTERN: the foreign header is included by files matching PATTERN alone.
only() {
    if grep -rlE --include='*.[ch]' "^#include <$1" tracer wire coordinator worker cli bench 2>/dev/null | grep -vE "^($2)"; then
        echo "layers: <$1 belongs into $2 alone" >&2
        bad=1
    fi
}

allow tracer 'tracer'
allow wire 'wire'
allow coordinator 'coordinator|wire|tracer'
allow worker 'worker|wire|tracer'
allow cli 'cli|coordinator|worker|tracer'
allow bench 'bench|cli|coordinator|worker|wire|tracer'
only assimp/ 'tracer/scene/'
only zmq 'coordinator/|worker/|bench/'
only '(cjson/)?cJSON' 'tracer/scene/|coordinator/http_|cli/|bench/'
only embree3/ 'bench/embree.c'
only 'microhttpd' 'coordinator/'
only curl/ 'cli/http.c'

[ "$bad" = 0 ] && echo "layers are kept"
exit "$bad"
