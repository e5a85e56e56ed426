#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Time to attach to an engine and to open a flow between two engines that sleep.
set -euo pipefail

usage() {
    cat <<'END'
Usage: tests/bench/open_latency.sh [OPTION] [COUNT]

Attaches up to 100 times and opens COUNT flows (200, at most 10000), and prints microseconds: median, least, 90 %, most.

  --check   exit with 1 if the median of attaching is over 10 ms, or that of opening over 400 us
  --help    this text

MACHNET_BUILD names the build directory (build/release).
END
}

count=200 check=
while [ $# -gt 0 ]; do
    case $1 in
        --check) check=1 ;;
        -h | --help) usage; exit 0 ;;
        *)
            if ! [[ $1 =~ ^[1-9][0-9]{0,4}$ ]] || [ "$1" -gt 10000 ]; then
                echo "open_latency.sh: '$1' is neither an option nor a count from 1 to 10000; see --help" >&2
                exit 2
            fi
            count=$1 ;;
    esac
    shift
done
. "$(dirname "$0")/engines.bash"
build_program open_latency
start_engines
MACHNET_SOCKET=$socket_1 MACHNET_SOCKET_2=$socket_2 "$directory/open_latency" "$ip_2:7000" "$count" | awk -v check="$check" '
    { missed = $3 > ($1 == "attach" ? 10000 : 400); any = any || missed; print $0 (missed ? ": missed" : "") }
    END { exit check && any }'
