#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# libmachnet.so.1 and libmachnet.a export exactly the functions that machnet.h declares, and need libc alone.
set -euo pipefail

build=${MACHNET_BUILD:?the build directory}
header=$(dirname "$0")/../../capi/include/machnet/machnet.h
[ -e "$build/lib/libmachnet.so.1" ] || { echo "symbols.sh: $build/lib/libmachnet.so.1 is not built" >&2; exit 1; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0

"${CC:-cc}" -E -P -x c "$header" | grep -o '\bmachnet_[a-z0-9_]*[[:space:]]*(' | tr -d ' \t(' |
    LC_ALL=C sort -u >"$scratch/declared"
[ -s "$scratch/declared" ] || { echo "symbols.sh: machnet.h declares no function" >&2; exit 1; }

# compare <file> <what nm says of it>: the version node itself (type A) is no symbol of the ABI.
compare() {
    awk '$2 != "A" && NF == 3 { sub(/@.*/, "", $3); print $3 }' "$2" | LC_ALL=C sort -u >"$scratch/exported"
    if ! diff "$scratch/declared" "$scratch/exported" >"$scratch/diff"; then
        echo "$1: '<' is declared and not exported, '>' is exported and not declared"
        grep '^[<>]' "$scratch/diff"
        failed=1
    fi
}
nm -D --defined-only "$build/lib/libmachnet.so.1" >"$scratch/shared"
compare libmachnet.so.1 "$scratch/shared"
nm -g --defined-only "$build/lib/libmachnet.a" >"$scratch/static"
compare libmachnet.a "$scratch/static"

allowed='^(libc\.so\.6|ld-linux.*)$'
[ -z "${MACHNET_SANITIZE:-}" ] || allowed='^(lib(c|m|gcc_s|pthread|rt|dl|asan|ubsan|tsan)\.so\..*|ld-linux.*)$'
needed=$(readelf -d "$build/lib/libmachnet.so.1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -Ev "$allowed" || true)
if [ -n "$needed" ]; then
    echo "libmachnet.so.1 needs more than libc: $needed"
    failed=1
fi
soname=$(readelf -d "$build/lib/libmachnet.so.1" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
if [ "$soname" != libmachnet.so.1 ]; then
    echo "libmachnet.so.1 is named '$soname'"
    failed=1
fi
[ "$failed" -eq 0 ] && echo "$(wc -l <"$scratch/declared") functions declared and exported"
exit "$failed"
