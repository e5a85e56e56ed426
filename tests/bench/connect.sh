#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# How long it takes to open many flows one after another.
set -euo pipefail

usage() {
    cat <<'END'
Usage: tests/bench/connect.sh [OPTION]...

Opens flows between two engines, each when the one before is open, and keeps them. Prints the seconds of each round and the median.

  --nic NAME     udp (on loopback), or with DPDK: af_packet (two network namespaces; needs root), memif (udp)
  --flows N      (1000)
  --rounds N     each with an application of its own (5)
  --check        exit with 1 if the median is above 0.5 s for 1000 flows
  --help         this text

MACHNET_BUILD names the build directory (build/release).
END
}

nic=udp flows=1000 rounds=5 check=
while [ $# -gt 0 ]; do
    case $1 in
        --nic)
            [[ ${2:-} =~ ^(udp|af_packet|memif)$ ]] || { echo "connect.sh: --nic needs udp, af_packet or memif" >&2; exit 2; }
            nic=$2
            shift ;;
        --flows | --rounds)
            [[ ${2:-} =~ ^[1-9][0-9]{0,4}$ ]] || { echo "connect.sh: $1 needs a number from 1 to 99999" >&2; exit 2; }
            declare "${1#--}=$2"
            shift ;;
        --check) check=1 ;;
        -h | --help) usage; exit 0 ;;
        *) echo "connect.sh: unknown option '$1'; see --help" >&2; exit 2 ;;
    esac
    shift
done
. "$(dirname "$0")/engines.bash"
build_program flows

namespace_1=machnet-bench-$$-1 namespace_2=machnet-bench-$$-2
delete_namespaces() {
    clean_up
    ip netns del "$namespace_1" 2>/dev/null || true
    ip netns del "$namespace_2" 2>/dev/null || true
}

case $nic in
    udp) ;;
    memif)
        ip_1=10.9.0.1 ip_2=10.9.0.2
        flags_1=(--nic dpdk --device "net_memif0,role=server,socket=$directory/memif,socket-abstract=no,mac=02:00:00:00:00:01")
        flags_2=(--nic dpdk --device "net_memif0,role=client,socket=$directory/memif,socket-abstract=no,mac=02:00:00:00:00:02") ;;
    af_packet)
        trap delete_namespaces EXIT
        ip netns add "$namespace_1" && ip netns add "$namespace_2" || { echo "connect.sh: no right to make network namespaces" >&2; exit 1; }
        ip link add veth0 netns "$namespace_1" type veth peer name veth0 netns "$namespace_2"
        ip -n "$namespace_1" link set veth0 up
        ip -n "$namespace_2" link set veth0 up
        ip_1=10.9.0.1 ip_2=10.9.0.2
        wrapper_1=(ip netns exec "$namespace_1") wrapper_2=(ip netns exec "$namespace_2")
        flags_1=(--nic dpdk --device net_af_packet0,iface=veth0) flags_2=("${flags_1[@]}") ;;
esac
start_engines
for ((round = 1; round <= rounds; round++)); do
    MACHNET_SOCKET=$socket_1 MACHNET_SOCKET_2=$socket_2 "$directory/flows" 1 "$flows" "$ip_2:7000" <<<$'\n\n\n\n' >"$directory/out"
    awk '$1 == "flows" { print $3 }' "$directory/out" | tee -a "$directory/seconds"
done
seconds=$(median <"$directory/seconds")
echo "$flows flows over $nic, one after another: median $seconds s"
[ -z "$check" ] || awk -v s="$seconds" -v n="$flows" 'BEGIN { exit s > 0.5 * n / 1000 }'
