#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
set -euo pipefail

case ${1:-} in
    -h | --help)
        cat <<'END'
Usage: tests/bench/unwanted.sh [--flows N] [--rounds N] [--check]

Measures what packets cost that nobody asked for, dropped or answered without keeping anything: processor time from the bytes of
the packet to its end, or to the bytes of the answer, in a transport with N flows (1000) of 1000 peers. Packets of all kinds in
turns, N rounds (101) of 4096 each. --check fails if a median is above its limit.
END
        exit ;;
esac
tree=$(cd "$(dirname "$0")/../.." && pwd)
build=${MACHNET_BUILD:-$tree/build/release}
core=$build/internal/libengine_core.a
[ -e "$core" ] || { echo "$0: $core is missing; build first, or set MACHNET_BUILD" >&2; exit 2; }
directory=$(mktemp -d -t machnet-bench.XXXXXX)
trap 'rm -rf "$directory"' EXIT
"${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -I"$tree/engine" "$tree/tests/bench/unwanted.c" "$core" -o "$directory/unwanted"
"$directory/unwanted" "$@"
