#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Small request-response with many in flight over memif: how many a second, and what they cost.
set -euo pipefail

usage() {
    cat <<'END'
Usage: tests/bench/rate.sh [OPTION]...

Host A lives on one core, host B on another; a host's engine (one worker) and application share its core. Prints for each round, and as
medians, requests a second, p50 and p99 of the round trip in us, and processor time in ns for each request: of the client, the server and
the two engines, polling included. Needs a machnetd with the dpdk back end. Beside them the floor (yield_floor.c): four processes that do nothing
but pass as many bytes on, in two groups, and let each other run; so many a second the changes of process alone allow.

  --rounds N          (5)
  --seconds S         measured in each round, fractions too (1)
  --cores A,B         (0,1)
  --size BYTES        (64)
  --window N          requests in flight (32)
  --poll HOW          adaptive, spin or sleep: engines and applications (adaptive)
  --over NIC          memif, or udp for kernel sockets (memif)
  --realtime          all processes in real time (SCHED_RR, needs root): other work on the machine waits, so keep the runs short
  --check             exit with 1 if the median is below 1.5 million a second
  --help              this text

MACHNET_BUILD names the build directory (build/release).
END
}

rounds=5 seconds=1 cores=0,1 size=64 window=32 poll=adaptive over=memif check= in_real_time=
while [ $# -gt 0 ]; do
    case $1 in
        --rounds | --seconds | --cores | --size | --window | --poll | --over)
            [ $# -ge 2 ] || { echo "rate.sh: $1 needs a value" >&2; exit 2; }
            declare "${1#--}=$2"
            shift ;;
        --realtime) in_real_time=1 ;;
        --check) check=1 ;;
        --help) usage; exit 0 ;;
        *) echo "rate.sh: unknown option '$1'; see --help" >&2; exit 2 ;;
    esac
    shift
done
case $over in
    memif | udp) ;;
    *) echo "rate.sh: --over is memif or udp" >&2; exit 2 ;;
esac
. "$(dirname "$0")/engines.bash"
. "$(dirname "$0")/hosts.bash"
[ -z "$in_real_time" ] || be_realtime
[ "$over" = udp ] || has_dpdk || { echo "rate.sh: this machnetd has no dpdk back end" >&2; exit 2; }
core_a=${cores%,*} core_b=${cores#*,}
perf_options=(--size "$size" --window "$window" --duration "$seconds")

build_program yield_floor perf_histogram.c
groups=$((window > 1 ? 2 : 1))
floor() {
    "${realtime[@]}" "$directory/yield_floor" --cores "$cores" --duration "$seconds" --warmup 0.2 --size "$size" --groups "$groups" \
        --requests $(((window + groups - 1) / groups))
}

columns=(messages_per_second "p50 rtt_us" "p99 rtt_us" "client cpu_ns_per_message" "server cpu_ns_per_message"
    "engine cpu_ns_per_message" "peer_engine cpu_ns_per_message")

row() { # NAME, NUMBER...
    printf '%-8s %12.0f %8.1f %8.1f %8.0f %8.0f %8.0f %8.0f\n' "$@"
}

printf '%s bytes, %s in flight over %s, %s, cores %s; rounds of %s s\n' "$size" "$window" "$over" "$poll" "$cores" "$seconds"
printf '%-8s %12s %8s %8s %8s %8s %8s %8s\n' "" "requests/s" "p50 us" "p99 us" "client" "server" "engine A" "engine B"
for ((round = 1; round <= rounds; round++)); do
    perf_over "$over" "$poll" >"$directory/result" || { echo "rate.sh: round $round failed" >&2; exit 1; }
    stop_all
    values=()
    for i in "${!columns[@]}"; do
        read -ra where <<<"${columns[$i]}"
        values+=("$(field "${where[@]}" <"$directory/result")")
        echo "${values[$i]}" >>"$directory/column.$i"
    done
    row "$round" "${values[@]}"
    floor >"$directory/result" || { echo "rate.sh: the floor failed" >&2; exit 1; }
    field messages_per_second <"$directory/result" >>"$directory/floor"
done
medians=()
for i in "${!columns[@]}"; do medians+=("$(median <"$directory/column.$i")"); done
row median "${medians[@]}"
floor=$(median <"$directory/floor")
awk -v rate="${medians[0]}" -v floor="$floor" 'BEGIN { printf "%-8s %12.0f  changes of process alone; ours is %.2f of it\n", "floor", floor, rate / floor }'
[ -z "$check" ] || awk -v rate="${medians[0]}" 'BEGIN { exit rate < 1.5e6 }' ||
    { echo "below 1.5 million a second; the changes of process alone allow $floor here" >&2; exit 1; }
