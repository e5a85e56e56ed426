#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Time to attach to an engine and to open a flow between two engines that sleep.
set -euo pipefail

usage() {
    cat <<'END'
Usage: tests/bench/open_latency.sh [COUNT]

Attaches up to 100 times and opens COUNT flows (200, at most 10000), and prints microseconds: median, least, 90 %, most.
MACHNET_BUILD names the build directory (build/release).
END
}

case ${1:-} in -h | --help) usage; exit 0 ;; esac
count=${1:-200}
if [ $# -gt 1 ] || ! [[ $count =~ ^[1-9][0-9]{0,4}$ ]] || [ "$count" -gt 10000 ]; then
    echo "open_latency.sh: '$*' is not a count from 1 to 10000; see --help" >&2
    exit 2
fi
. "$(dirname "$0")/engines.bash"
build_program open_latency
start_engines
MACHNET_SOCKET=$socket_1 MACHNET_SOCKET_2=$socket_2 "$directory/open_latency" "$ip_2:7000" "$count"
