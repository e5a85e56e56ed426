#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What two engines with an idle flow between them cost, how soon they sleep after a packet, and how soon they answer.
set -euo pipefail

usage() {
    cat <<'END'
Usage: tests/bench/idle_cpu.sh [OPTION]... [SECONDS]

Two engines with an idle flow between them, for SECONDS (30): how much of a core they take. Then 200 lone messages that are echoed, one
every 20 ms: how long an engine runs for each; and for each engine 100 more, after which it is watched until it sleeps (needs root; not over
memif, where engines nap). Then 20 lone requests in a second, p50 and the longest round trip in us. Needs a build with tests.

  --over NIC          udp, af_packet (root, or unshare -Urnm), memif, or all that can be had (udp)
  --cores A,B         (0,1)
  --check             exit with 1 if an engine takes over 1 % of a core (memif: 3 %), over udp is awake for over 200 us after the last packet (median),
                      or an answer over memif takes over 2 ms
  --help              this text

MACHNET_BUILD names the build directory (build/release).
END
}

seconds=30 over=udp cores=0,1 check= messages=200
while [ $# -gt 0 ]; do
    case $1 in
        --over | --cores)
            [ $# -ge 2 ] || { echo "idle_cpu.sh: $1 needs a value" >&2; exit 2; }
            declare "${1#--}=$2"
            shift ;;
        --check) check=1 ;;
        -h | --help) usage; exit 0 ;;
        [1-9] | [1-9][0-9] | [1-9][0-9][0-9] | [1-9][0-9][0-9][0-9]) seconds=$1 ;;
        *) echo "idle_cpu.sh: unknown option '$1'; see --help" >&2; exit 2 ;;
    esac
    shift
done
case $over in
    udp | af_packet | memif | all) ;;
    *) echo "idle_cpu.sh: --over is udp, af_packet, memif or all" >&2; exit 2 ;;
esac
. "$(dirname "$0")/engines.bash"
. "$(dirname "$0")/hosts.bash"
core_a=${cores%,*} core_b=${cores#*,}
perf_options=(--rate 20 --duration 1)
peer=$build/bin/integration_peer
[ -x "$peer" ] || { echo "idle_cpu.sh: $peer is missing; build with -DMACHNET_TESTS=ON" >&2; exit 2; }
failed=
build_program asleep

before=()
note_cpu() {
    local i
    for i in 0 1; do before[i]=$(cpu_ns "${started[i]}"); done
}

used_ns() { # ENGINE: since note_cpu
    echo $(($(cpu_ns "${started[$1]}") - before[$1]))
}

idle() { # NIC
    local i limit=1
    [ "$1" != memif ] || limit=3
    note_cpu
    sleep "$seconds"
    for i in 0 1; do
        awk -v nic="$1" -v n=$((i + 1)) -v ns="$(used_ns "$i")" -v s="$seconds" -v limit="$limit" 'BEGIN {
            over = ns / s / 1e7 > limit
            printf "%s, idle: engine %d runs %.3f %% of a core over %d s (at most %d%s)\n", nic, n, ns / s / 1e7, s, limit,
                over ? ": missed" : ""
            exit over }' || failed=1
    done
}

# What an engine runs for a lone message and its answer: work, wake-ups, and polling.
lone_messages() { # NIC
    local i n
    note_cpu
    for ((n = 0; n < messages; n++)); do
        echo more >&4
        sleep 0.02
    done
    for i in 0 1; do
        awk -v nic="$1" -v n=$((i + 1)) -v ns="$(used_ns "$i")" -v m="$messages" \
            'BEGIN { printf "%s, lone message: engine %d runs %.1f us for each (of %d)\n", nic, n, ns / m / 1e3, m }'
    done
}

asleep() { # NIC
    local i cores=("$core_b" "$core_a") result status
    for i in 0 1; do
        status=0
        result=$(taskset -c "${cores[i]}" "${in_a[@]}" env "MACHNET_SOCKET=$socket_1" "MACHNET_SOCKET_2=$socket_2" \
            "$directory/asleep" "${started[i]}" "$ip_b:7002") || status=$?
        case $status in
            0) ;;
            3) echo "$1, after the last packet: not measured, needs root" >&2; return 0 ;;
            *) failed=1; return 0 ;;
        esac
        awk -v nic="$1" -v n=$((i + 1)) -v result="$result" 'BEGIN {
            split(result, word)
            over = nic == "udp" && word[2] > 200
            printf "%s, after the last packet: engine %d sleeps after %s%s\n", nic, n, result, over ? ": missed" : ""
            exit over }' || failed=1
    done
}

measure() { # NIC
    "$1_engines" adaptive || return 1
    mkfifo "$directory/serve" "$directory/send"
    "${in_b[@]}" env "MACHNET_SOCKET=$socket_2" "$peer" serve "$ip_b:7001" --echo <"$directory/serve" >/dev/null &
    local peers=($!)
    exec 3>"$directory/serve"
    wait_for_listener
    "${in_a[@]}" env "MACHNET_SOCKET=$socket_1" "$peer" send "$ip_b:7001" --keep --count 10 <"$directory/send" >/dev/null &
    peers+=($!)
    exec 4>"$directory/send"
    sleep 1
    idle "$1"
    lone_messages "$1"
    [ "$1" = memif ] || asleep "$1"
    exec 3>&- 4>&-
    wait "${peers[@]}"
    rm "$directory/serve" "$directory/send"
    stop_all
}

# An answer may find both engines asleep or napping.
answers() { # NIC
    local limit=0
    [ "$1" != memif ] || limit=2000
    perf_over "$1" adaptive >"$directory/result" || return 1
    stop_all
    awk -v nic="$1" -v p50="$(field p50 rtt_us <"$directory/result")" -v max="$(field max rtt_us <"$directory/result")" -v limit="$limit" 'BEGIN {
        over = limit && max > limit
        printf "%s, lone request: answered in %.1f us (p50), at most %.1f%s\n", nic, p50, max, over ? ": missed" : ""
        exit over }' || failed=1
}

nics=("$over")
if [ "$over" = all ]; then
    nics=(udp)
    if has_dpdk; then
        if may_make_namespaces; then nics+=(af_packet); else echo "not over af_packet: no right to make network namespaces" >&2; fi
        nics+=(memif)
    else
        echo "not over af_packet and memif: this machnetd has no dpdk back end" >&2
    fi
fi
for nic in "${nics[@]}"; do
    measure "$nic"
    answers "$nic"
done
[ -z "$check" ] || [ -z "$failed" ]
