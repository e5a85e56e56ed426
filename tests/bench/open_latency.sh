#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Time to attach to an engine and to open a flow between two engines that sleep. tests/bench/open_latency.sh [COUNT]
set -euo pipefail

. "$(dirname "$0")/engines.bash"
tree=$(cd "$(dirname "$0")/../.." && pwd)
"${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -I"$tree/capi/include" "$tree/tests/bench/open_latency.c" \
    "$build/lib/libmachnet.a" -pthread -o "$directory/open_latency"
start_engines
MACHNET_SOCKET=$socket_1 MACHNET_SOCKET_2=$socket_2 "$directory/open_latency" "$ip_2:7000" "${1:-200}"
