#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A file by `machnet cat` through two engines on loopback, against `socat -b 65536` over TCP, in turns.
set -euo pipefail

usage() {
    cat <<'END'
Usage: tests/bench/cat_vs_socat.sh [OPTION]...

Prints the seconds of each run, both medians and their ratio. MACHNET_BUILD names the build directory (build/release).

  --size SIZE   bytes to send, with K, M or G (1G)
  --pairs N     how often both are measured, in turns (5)
  --limit R     exit with 1 if machnet takes more than R times as long
  --help        this text
END
}

size=1G pairs=5 limit=
while [ $# -gt 0 ]; do
    case $1 in
        --size | --pairs | --limit)
            [ $# -ge 2 ] || { echo "cat_vs_socat.sh: $1 needs a value" >&2; exit 2; }
            declare "${1#--}=$2"
            shift ;;
        -h | --help) usage; exit 0 ;;
        *) echo "cat_vs_socat.sh: unknown option '$1'; see --help" >&2; exit 2 ;;
    esac
    shift
done
wrong() { echo "cat_vs_socat.sh: $1" >&2; exit 2; }
[[ $size =~ ^[1-9][0-9]{0,14}[KMG]?$ ]] || wrong "--size '$size' is not a size; use bytes, or K, M or G behind a number, such as 1G"
[[ $pairs =~ ^[1-9][0-9]{0,3}$ ]] || wrong "--pairs '$pairs' is not a number from 1 to 9999"
[[ -z $limit || $limit =~ ^[0-9]+(\.[0-9]+)?$ ]] || wrong "--limit '$limit' is not a ratio, such as 2 or 1.5"
. "$(dirname "$0")/engines.bash"
command -v socat >/dev/null || { echo "cat_vs_socat.sh: socat is missing; apt-get install socat" >&2; exit 77; }

# The source is read from the page cache, the copy goes to a pipe, so that no disk is measured.
source_file=$directory/source
head -c "$size" /dev/urandom >"$source_file"
cat "$source_file" >/dev/null
bytes=$(stat -c %s "$source_file")

with_machnet() {
    MACHNET_SOCKET=$socket_2 "$build/bin/machnet" cat --listen "$ip_2:7000" | cat >/dev/null &
    local receiver=$!
    wait_for_listener
    local start=$EPOCHREALTIME
    MACHNET_SOCKET=$socket_1 "$build/bin/machnet" cat "$ip_2:7000" <"$source_file"
    wait "$receiver"
    since "$start"
}

with_socat() {
    socat -u -b 65536 "TCP-LISTEN:$tcp_port,bind=$ip_2,reuseaddr" STDOUT | cat >/dev/null &
    local receiver=$!
    until ss -Hltn "src = $ip_2 and sport = :$tcp_port" | grep -q .; do sleep 0.01; done
    local start=$EPOCHREALTIME
    socat -u -b 65536 STDIN "TCP:$ip_2:$tcp_port" <"$source_file"
    wait "$receiver"
    since "$start"
}

tcp_port=$((20000 + $$ % 20000))
start_engines
echo "$bytes bytes, $pairs pairs, seconds:"
for ((i = 1; i <= pairs; i++)); do
    machnet_seconds=$(with_machnet)
    socat_seconds=$(with_socat)
    echo "$machnet_seconds" >>"$directory/machnet"
    echo "$socat_seconds" >>"$directory/socat"
    printf '  %d  machnet cat %7.3f   socat %7.3f\n' "$i" "$machnet_seconds" "$socat_seconds"
done
machnet_median=$(median <"$directory/machnet")
socat_median=$(median <"$directory/socat")
awk -v m="$machnet_median" -v s="$socat_median" -v b="$bytes" -v limit="$limit" 'BEGIN {
    printf "median: machnet cat %.3f s (%.2f GB/s), socat %.3f s (%.2f GB/s), ratio %.2f\n", m, b / m / 1e9, s, b / s / 1e9, m / s
    exit limit != "" && m / s > limit }'
