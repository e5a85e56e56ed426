#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A light load over kernel UDP: what it costs the engines that wait adaptively, and what latency they give for it beside engines that spin.
set -euo pipefail

usage() {
    cat <<'END'
Usage: tests/bench/light_load.sh [OPTION]...

Requests of an open loop at a steady rate, with the default waiting and with spinning in turns, engines and applications alike, and beside them
two plain UDP sockets that block (udp_pingpong.c): what the kernel takes for as much. Host A lives on one core, host B on another; a host's engine
and application share its core. Prints medians over the rounds: p50 and p99 of the round trip in us, from the time at which each request was due,
and how much of a core each engine and application takes.

  --rounds N          (5)
  --seconds S         measured in each round and way (2)
  --cores A,B         (0,1)
  --size BYTES        (64)
  --rate N            requests a second (1000)
  --realtime          all processes in real time (SCHED_RR, needs root): other work on the machine waits, so keep the runs short
  --check             exit with 1 if an engine takes over 15 % of a core, or p99 is over 2 times that of spinning
  --help              this text

MACHNET_BUILD names the build directory (build/release).
END
}

rounds=5 seconds=2 cores=0,1 size=64 rate=1000 check= in_real_time=
while [ $# -gt 0 ]; do
    case $1 in
        --rounds | --seconds | --cores | --size | --rate)
            [ $# -ge 2 ] || { echo "light_load.sh: $1 needs a value" >&2; exit 2; }
            declare "${1#--}=$2"
            shift ;;
        --realtime) in_real_time=1 ;;
        --check) check=1 ;;
        --help) usage; exit 0 ;;
        *) echo "light_load.sh: unknown option '$1'; see --help" >&2; exit 2 ;;
    esac
    shift
done
. "$(dirname "$0")/engines.bash"
. "$(dirname "$0")/hosts.bash"
[ -z "$in_real_time" ] || be_realtime
core_a=${cores%,*} core_b=${cores#*,}
perf_options=(--size "$size" --rate "$rate" --duration "$seconds")

latencies=(p50 p99)
users=(engine peer_engine client server)
for ((round = 1; round <= rounds; round++)); do
    for poll in adaptive spin; do
        perf_over udp "$poll" >"$directory/result" || { echo "light_load.sh: round $round, $poll, failed" >&2; exit 1; }
        stop_all
        for name in "${latencies[@]}"; do field "$name" rtt_us <"$directory/result" >>"$directory/$poll.$name"; done
        messages=$(field messages_per_second <"$directory/result")
        for name in "${users[@]}"; do
            awk -v ns="$(field "$name" cpu_ns_per_message <"$directory/result")" -v n="$messages" 'BEGIN { print ns * n / 1e7 }' \
                >>"$directory/$poll.$name"
        done
    done
    udp_sockets "$core_b" >"$directory/result" || { echo "light_load.sh: round $round, sockets, failed" >&2; exit 1; }
    stop_all
    for name in "${latencies[@]}"; do field "$name" rtt_us <"$directory/result" >>"$directory/sockets.$name"; done
done

value() { # POLL NAME
    median <"$directory/$1.$2"
}

printf '%s bytes, %s requests/s over udp, cores %s; medians of %d rounds of %s s\n' "$size" "$rate" "$cores" "$rounds" "$seconds"
printf '%-10s %8s %8s %10s %10s %8s %8s\n' "" "p50 us" "p99 us" "engine A %" "engine B %" "client %" "server %"
for poll in adaptive spin; do
    printf '%-10s %8.1f %8.1f %10.1f %10.1f %8.1f %8.1f\n' "$poll" "$(value "$poll" p50)" "$(value "$poll" p99)" \
        "$(value "$poll" engine)" "$(value "$poll" peer_engine)" "$(value "$poll" client)" "$(value "$poll" server)"
done
printf '%-10s %8.1f %8.1f\n' sockets "$(value sockets p50)" "$(value sockets p99)"
awk -v p99="$(value adaptive p99)" -v spin="$(value spin p99)" -v a="$(value adaptive engine)" -v b="$(value adaptive peer_engine)" 'BEGIN {
    missed = p99 / spin > 2 || a > 15 || b > 15
    printf "p99 is %.2f times that of spinning (at most 2), the engines take %.1f and %.1f %% (at most 15)%s\n", p99 / spin, a, b,
        missed ? ": missed" : ""
    exit missed }' || [ -z "$check" ]
