#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What loss costs real engines: round trips over af_packet and memif with frames lost by chance, beside the same without loss.
set -euo pipefail

usage() {
    cat <<'END'
Usage: tests/bench/loss.sh [OPTION]...

Host A on one core, host B on another; between them a process that loses frames of both directions by chance: over memif tests/switch, over
af_packet (two network namespaces; needs root) a bridge of two packet sockets. For each kind of load, without loss and with it in turns:
messages a second and the round trip in us, medians of the rounds, and how much longer that of the 99.9th percentile gets. Needs a machnetd with the
dpdk back end, and a build with tests.

  --rounds N        (5)
  --seconds S       measured in each round, fractions too (2)
  --cores A,B       (0,1)
  --loss CHANCE     (0.01)
  --over NIC        memif, af_packet or both (both)
  --only LOAD       small (64 bytes), medium (16 KiB), both one request in flight, or bulk (64 KiB, 8 in flight)
  --check           exit with 1 if a 99.9th percentile is more than 2 ms above that without loss
  --help            this text

MACHNET_BUILD names the build directory (build/release).
END
}

rounds=5 seconds=2 cores=0,1 loss=0.01 over=both only='' check=
while [ $# -gt 0 ]; do
    case $1 in
        --rounds | --seconds | --cores | --loss | --over | --only)
            [ $# -ge 2 ] || { echo "loss.sh: $1 needs a value" >&2; exit 2; }
            declare "${1#--}=$2"
            shift ;;
        --check) check=1 ;;
        --help) usage; exit 0 ;;
        *) echo "loss.sh: unknown option '$1'; see --help" >&2; exit 2 ;;
    esac
    shift
done
case $over in
    both) nics=(memif af_packet) ;;
    memif | af_packet) nics=("$over") ;;
    *) echo "loss.sh: --over is memif, af_packet or both" >&2; exit 2 ;;
esac
case $only in
    '') loads=(small medium bulk) ;;
    small | medium | bulk) loads=("$only") ;;
    *) echo "loss.sh: --only is small, medium or bulk" >&2; exit 2 ;;
esac
. "$(dirname "$0")/engines.bash"
. "$(dirname "$0")/hosts.bash"
has_dpdk || { echo "loss.sh: this machnetd has no dpdk back end" >&2; exit 2; }
core_a=${cores%,*} core_b=${cores#*,}
chance=0 seed=1

lossy_memif_engines() { # POLL
    local a="$directory/a.sock" b="$directory/b.sock" memif=net_memif0,role=client,socket-abstract=no,socket
    rm -f "$a" "$b"
    in_a=() in_b=()
    # It ends with its standard input, which for a process in the background is /dev/null.
    start "$cores" bash -c 'exec "$0" "${@:2}" <>"$1"' "$build/bin/switch" "$directory/nothing" --drop "$chance" --seed "$seed" --duration 300 "$a" "$b"
    until_said ready || return 1
    dpdk_engines "$1" "$memif=$a,mac=02:00:00:00:00:01" "$memif=$b,mac=02:00:00:00:00:02"
}

# Each host's interface has its other end in a namespace between them, where the bridge is.
make_lossy_namespaces() {
    [ ${#namespaces[@]} -eq 0 ] || return 0
    local side
    for side in a b between; do
        ip netns add "$prefix-$side"
        namespaces+=("$prefix-$side")
    done
    for side in a b; do
        ip link add veth0 netns "$prefix-$side" type veth peer name "to-$side" netns "$prefix-between"
        ip -n "$prefix-$side" link set veth0 up
        ip -n "$prefix-between" link set "to-$side" up
    done
}

lossy_af_packet_engines() { # POLL
    make_lossy_namespaces || return 1
    in_a=(ip netns exec "${namespaces[0]}") in_b=(ip netns exec "${namespaces[1]}")
    start "$cores" ip netns exec "${namespaces[2]}" "$directory/lossy_bridge" to-a to-b "$chance" "$seed"
    until_said ready || return 1
    dpdk_engines "$1" net_af_packet0,iface=veth0 net_af_packet0,iface=veth0
}

options_of() { # LOAD
    case $1 in
        small) echo --size 64 ;;
        medium) echo --size 16384 ;;
        bulk) echo --size 65536 --window 8 ;;
    esac
}

columns=(messages_per_second "p50 rtt_us" "p99 rtt_us" "p99_9 rtt_us" "max rtt_us")

measure() { # NIC, LOAD, CHANCE: appends to the columns
    local i where
    chance=$3
    read -ra perf_options <<<"--duration $seconds $(options_of "$2")"
    perf_over "lossy_$1" adaptive >"$directory/result" || { echo "loss.sh: a round over $1 failed" >&2; cat "$directory"/out.* >&2; exit 1; }
    stop_all
    for i in "${!columns[@]}"; do
        read -ra where <<<"${columns[$i]}"
        field "${where[@]}" <"$directory/result" >>"$directory/$1.$2.$3.$i"
    done
}

row() { # NIC, LOAD, CHANCE
    local i values=()
    for i in "${!columns[@]}"; do values+=("$(median <"$directory/$1.$2.$3.$i")"); done
    printf '%-10s %-7s %6s %11.0f %9.1f %9.1f %9.1f %9.1f\n' "$1" "$2" "$3" "${values[@]}"
}

mkfifo "$directory/nothing"
"${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra "$(dirname "$0")/lossy_bridge.c" -o "$directory/lossy_bridge"
if ! may_make_namespaces; then
    [ "${nics[*]}" = af_packet ] && { echo "loss.sh: no right to make network namespaces" >&2; exit 2; }
    echo "af_packet is left out: no right to make network namespaces" >&2
    nics=(memif)
fi
printf 'cores %s, %s rounds of %s s, adaptive\n' "$cores" "$rounds" "$seconds"
printf '%-10s %-7s %6s %11s %9s %9s %9s %9s\n' "" "" loss messages/s "p50 us" p99 p99.9 max
failed=0
for nic in "${nics[@]}"; do
    for load in "${loads[@]}"; do
        for ((round = 1; round <= rounds; round++)); do
            seed=$round
            measure "$nic" "$load" 0
            measure "$nic" "$load" "$loss"
        done
        row "$nic" "$load" 0
        row "$nic" "$load" "$loss"
        # Each round with loss against the one before it.
        more=$(paste "$directory/$nic.$load.0.3" "$directory/$nic.$load.$loss.3" | awk '{ print $2 - $1 }' | median)
        printf '%-10s %-7s p99.9 %+.0f us\n' "$nic" "$load" "$more"
        awk -v more="$more" 'BEGIN { exit more > 2000 }' || failed=1
    done
done
[ -z "$check" ] || [ "$failed" -eq 0 ] || { echo "loss.sh: more than 2 ms above the control" >&2; exit 1; }
