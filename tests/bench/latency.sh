#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# 64-byte request-response, one in flight: UDP sockets against Machnet, in turns, on two cores.
set -euo pipefail

usage() {
    cat <<'END'
Usage: tests/bench/latency.sh [OPTION]...

Host A lives on one core, host B on another; a host's engine and application share its core. Every row is measured once in each
round, one after another, so that all rows see the same machine. Prints the medians of p50 and p99 over the rounds in us, and p50
against the yardstick: blocking UDP sockets across the two cores. Each row starts and stops its own processes.

  --rounds N          (5)
  --seconds S         measured in each round and row, fractions too (1)
  --cores A,B         (0,1)
  --size BYTES        (64)
  --only REGEX        rows whose names match, and the yardstick
  --json FILE         also write what each run printed, one object a line, with "row" and "round"
  --realtime          all processes in real time (SCHED_RR, needs root): other work on the machine waits, so keep the runs short
  --check             exit with 1 if udp default is above 0.6 of the yardstick, or memif spin above 0.15
  --help              this text

Rows that need DPDK are left out, and say so, when machnetd has no dpdk back end; those over af_packet need root, or
  unshare -Urnm tests/bench/latency.sh
MACHNET_BUILD names the build directory (build/release).
END
}

rounds=5 seconds=1 cores=0,1 size=64 only=. json=/dev/null check= in_real_time=
while [ $# -gt 0 ]; do
    case $1 in
        --rounds | --seconds | --cores | --size | --only | --json)
            [ $# -ge 2 ] || { echo "latency.sh: $1 needs a value" >&2; exit 2; }
            declare "${1#--}=$2"
            shift ;;
        --realtime) in_real_time=1 ;;
        --check) check=1 ;;
        --help) usage; exit 0 ;;
        *) echo "latency.sh: unknown option '$1'; see --help" >&2; exit 2 ;;
    esac
    shift
done
. "$(dirname "$0")/engines.bash"
. "$(dirname "$0")/hosts.bash"
[ -z "$in_real_time" ] || be_realtime
core_a=${cores%,*} core_b=${cores#*,}
perf_options=(--size "$size" --duration "$seconds")
build_program yield_floor perf_histogram.c
: >"$json"

# ---- Rows: each prints one JSON object ----

floor() {
    "${realtime[@]}" "$directory/yield_floor" --cores "$cores" --duration "$seconds" --warmup 0.2
}

rows=(
    "UDP blocking, across cores|udp_sockets $core_b"
    "UDP blocking, one core|udp_sockets $core_a"
    "UDP spinning, across cores|udp_sockets $core_b --spin"
    "UDP spinning, one core|udp_sockets $core_a --spin"
    "floor: shared memory, 4 yields|floor"
    "machnet udp, default|perf_over udp adaptive"
    "machnet udp, sleep|perf_over udp sleep"
    "machnet udp, spin|perf_over udp spin"
)
if has_dpdk; then
    if may_make_namespaces; then
        rows+=("machnet af_packet, default|perf_over af_packet adaptive")
    else
        echo "no rows over af_packet: no right to make network namespaces" >&2
    fi
    rows+=("machnet memif, default|perf_over memif adaptive" "machnet memif, spin|perf_over memif spin")
else
    echo "no rows over af_packet and memif: this machnetd has no dpdk back end" >&2
fi

# ---- The run ----

for ((round = 1; round <= rounds; round++)); do
    for ((i = 0; i < ${#rows[@]}; i++)); do
        name=${rows[$i]%%|*}
        [ "$i" -eq 0 ] || [[ $name =~ $only ]] || continue
        [ ! -t 2 ] || printf '\rround %d of %d: %s\033[K' "$round" "$rounds" "$name" >&2
        read -ra command <<<"${rows[$i]#*|}"
        "${command[@]}" >"$directory/result" || { echo "latency.sh: '$name' failed" >&2; exit 1; }
        stop_all
        field p50 rtt_us <"$directory/result" >>"$directory/$i.p50"
        field p99 rtt_us <"$directory/result" >>"$directory/$i.p99"
        sed "s/^{/{\"row\": \"$name\", \"round\": $round, /" "$directory/result" >>"$json"
    done
done
[ ! -t 2 ] || printf '\r\033[K' >&2

yardstick=$(median <"$directory/0.p50")
floor=
printf '%d bytes, one in flight, cores %s; medians of %d rounds of %s s\n' "$size" "$cores" "$rounds" "$seconds"
printf '%-30s %10s %10s %10s\n' "" "p50 us" "p99 us" "p50 ratio"
failed=
for ((i = 0; i < ${#rows[@]}; i++)); do
    [ -e "$directory/$i.p50" ] || continue
    name=${rows[$i]%%|*}
    limit=
    [ "$name" != "machnet udp, default" ] || limit=0.6
    [ "$name" != "machnet memif, spin" ] || limit=0.15
    p50=$(median <"$directory/$i.p50")
    [[ $name != floor:* ]] || floor=$p50
    awk -v name="$name" -v p50="$p50" -v p99="$(median <"$directory/$i.p99")" -v y="$yardstick" \
        -v limit="$limit" -v floor="$floor" 'BEGIN {
        over = limit != "" && p50 / y > limit
        why = over && floor / y > limit ? sprintf("; here the floor alone takes %.2f", floor / y) : ""
        printf "%-30s %10.1f %10.1f %10.2f%s\n", name, p50, p99, p50 / y, limit == "" ? "" : "  (at most " limit (over ? ": missed" : "") why ")"
        exit over }' || failed=1
done
[ -z "$check" ] || [ -z "$failed" ]
