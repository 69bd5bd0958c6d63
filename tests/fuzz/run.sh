#!/bin/sh
# Runs the fuzz targets: first each one's whole corpus, then new inputs for a share of the time.
#
#   tests/fuzz/run.sh FOLDER SECONDS [NAME...]     FOLDER: of the built targets, which also gets finds (FOLDER/found) and crashers (FOLDER/crashes)
#
# A small file may not ask for gigabytes: one allocation above 512 MB, or 2 GB in all, counts as a crash, and so does an input that takes 20 s. A crasher
# belongs into tests/fuzz/corpus/NAME once its fault is mended. The target `import` drives assimp, see there: a process that assimp took down is replaced.
set -eu
folder=$1 seconds=$2
shift 2
corpus=$(dirname "$0")/corpus
[ $# -gt 0 ] || set -- message sums pack scene ply image key model journal http import
share=$((seconds / $#))
[ "$share" -ge 1 ] || share=1
mkdir -p "$folder/crashes"
export ASAN_OPTIONS="allocator_may_return_null=1:detect_stack_use_after_return=0:${ASAN_OPTIONS-}"
failed=
for name in "$@"; do
    found=$folder/found/$name log=$folder/$name.log
    mkdir -p "$found"
    extra="-malloc_limit_mb=512 -max_len=8192"
    [ "$name" != pack ] || extra="-malloc_limit_mb=512 -max_len=32768"
    [ "$name" != import ] || extra="-detect_leaks=0 -max_len=8192"
    common="-rss_limit_mb=2048 -timeout=20 -print_final_stats=1 -verbosity=1 -artifact_prefix=$folder/crashes/$name-"
    status=0
    if [ "$name" = import ]; then
        # One process an input: what assimp does to one must not hide the next.
        for input in "$corpus/$name"/*; do
            # shellcheck disable=SC2086 # options
            ASAN_OPTIONS="detect_leaks=0:$ASAN_OPTIONS" timeout 60 "$folder/fuzz_$name" $common $extra "$input" >"$log" 2>&1 || { status=1; break; }
        done
        # shellcheck disable=SC2086
        [ "$status" != 0 ] || ASAN_OPTIONS="detect_leaks=0:$ASAN_OPTIONS" "$folder/fuzz_$name" -fork=1 -ignore_ooms=1 -ignore_timeouts=1 $common $extra -max_total_time="$share" "$found" "$corpus/$name" >"$log" 2>&1 || status=$?
        case $status in 70 | 71) status=0 ;; esac # assimp's own hunger or slowness: passed over, but libFuzzer ends with it
    else
        # shellcheck disable=SC2086
        "$folder/fuzz_$name" $common $extra -runs=0 "$corpus/$name" >"$log" 2>&1 || status=$?
        # shellcheck disable=SC2086
        [ "$status" != 0 ] || "$folder/fuzz_$name" $common $extra -max_total_time="$share" "$found" "$corpus/$name" >"$log" 2>&1 || status=$?
    fi
    if [ "$status" != 0 ]; then
        failed="$failed $name"
        tail -n 60 "$log"
    fi
    inputs=$(sed -n 's/.*number_of_executed_units: *//p' "$log" | tail -n 1)
    [ -n "$inputs" ] || inputs=$(sed -n 's/^#\([0-9]*\): .*/\1/p' "$log" | tail -n 1) # with -fork there are no final statistics
    printf '%-8s %s inputs, %s s%s\n' "$name" "${inputs:-no}" "$share" "$([ "$status" = 0 ] || echo ': FAILED')"
done
[ -z "$failed" ] || { echo "fuzz: found something in$failed; the inputs are in $folder/crashes" >&2; exit 1; }
