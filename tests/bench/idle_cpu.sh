#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What two engines with an idle flow between them cost, and how soon they sleep after a packet. Needs a build with tests.
# tests/bench/idle_cpu.sh [SECONDS]
set -euo pipefail

seconds=${1:-30} messages=200
. "$(dirname "$0")/engines.bash"
peer=$build/bin/integration_peer
[ -x "$peer" ] || { echo "idle_cpu.sh: $peer is missing; build with -DMACHNET_TESTS=ON" >&2; exit 2; }

# ns that an engine's threads have run, user and system.
cpu_ns() {
    cat /proc/"$1"/task/*/schedstat | awk '{ sum += $1 } END { printf "%d\n", sum }'
}

start_engines
mkfifo "$directory/serve" "$directory/send"
MACHNET_SOCKET=$socket_2 "$peer" serve "$ip_2:7000" --echo <"$directory/serve" >/dev/null &
peers=($!)
exec 3>"$directory/serve"
wait_for_listener
MACHNET_SOCKET=$socket_1 "$peer" send "$ip_2:7000" --keep --count 10 <"$directory/send" >/dev/null &
peers+=($!)
exec 4>"$directory/send"
sleep 1

for i in 0 1; do before[i]=$(cpu_ns "${engines[i]}"); done
sleep "$seconds"
for i in 0 1; do
    after=$(cpu_ns "${engines[i]}")
    awk -v n=$((i + 1)) -v ns=$((after - before[i])) -v s="$seconds" \
        'BEGIN { printf "idle: engine %d runs %.3f %% of a core (over %d s)\n", n, ns / s / 1e7, s }'
done

# An engine that polls runs: so what it runs for a lone message and its answer, work and wake-ups included, is more than the time
# it stays awake after the last packet.
for i in 0 1; do before[i]=$(cpu_ns "${engines[i]}"); done
for ((n = 0; n < messages; n++)); do
    echo more >&4
    sleep 0.02
done
for i in 0 1; do
    after=$(cpu_ns "${engines[i]}")
    awk -v n=$((i + 1)) -v ns=$((after - before[i])) -v m="$messages" \
        'BEGIN { printf "lone message: engine %d is awake %.1f us for each (of %d)\n", n, ns / m / 1e3, m }'
done
exec 3>&- 4>&-
wait "${peers[@]}"
