# SPDX-License-Identifier: MIT
#
# The second half of quickstart.sh, for root: the same between two network namespaces that a veth pair joins, each engine with DPDK
# on its end of it; and what both back ends measure. Uses build, work, pids, say and on_a, on_b of quickstart.sh.

namespace_a=machnet-quickstart-$$-a
namespace_b=machnet-quickstart-$$-b

# Installs DPDK if this half can run, with a word on it if not.
dpdk_packages() {
    [ "$(id -u)" -eq 0 ] || return 0
    tests/install-packages.sh dpdk || echo "quickstart: DPDK is not installed; this goes on without it" >&2
}

# add_veth NAME: a pair, one end of that name in each namespace.
add_veth() {
    ip link add "$1" netns "$namespace_a" type veth peer name "$1" netns "$namespace_b" 2>"$work/netns" &&
        ip -n "$namespace_a" link set "$1" up && ip -n "$namespace_b" link set "$1" up
}

# Prints why this half cannot run here, or nothing.
dpdk_obstacle() {
    if [ "$(id -u)" -ne 0 ]; then
        echo "it makes network namespaces, which needs root: sudo examples/quickstart.sh"
    elif ! "$build/bin/machnetd" --version | grep -qw dpdk; then
        echo "machnetd was built without DPDK, because libdpdk-dev 22.11 or later is not installed"
    elif ! command -v ip >/dev/null; then
        echo "the command ip is missing: apt-get install iproute2"
    elif ! ip netns add "$namespace_a" 2>"$work/netns"; then
        echo "network namespaces cannot be made here: $(<"$work/netns")"
    elif ! ip netns add "$namespace_b" || ! add_veth veth0 || ! add_veth veth1; then
        echo "veth pairs cannot be made here: $(<"$work/netns")"
    fi
}

# May be called whatever was made.
delete_namespaces() {
    [ "$(id -u)" -eq 0 ] || return 0
    for namespace in "$namespace_a" "$namespace_b"; do
        ip netns del "$namespace" 2>/dev/null || true
    done
}

dpdk_in_a() { ip netns exec "$namespace_a" env "MACHNET_SOCKET=$work/dpdk-a.sock" timeout --foreground "$@"; }
dpdk_in_b() { ip netns exec "$namespace_b" env "MACHNET_SOCKET=$work/dpdk-b.sock" timeout --foreground "$@"; }

# until_true COMMAND...: waits, at most 5 s.
until_true() {
    for _ in $(seq 100); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.05
    done
    echo "quickstart: waited in vain for: $*" >&2
    return 1
}

# dpdk_engine NAMESPACE IP SOCKET
dpdk_engine() {
    setsid ip netns exec "$1" "$build/bin/machnetd" --nic dpdk --device net_af_packet0,iface=veth0 --ip "$2/24" --socket "$3" 2>"$3.log" &
    pids+=($!)
    until_true env "MACHNET_SOCKET=$3" "$build/bin/machnet" status
}

dpdk_listens() { MACHNET_SOCKET=$work/dpdk-b.sock "$build/bin/machnet" status --json | grep -q "10.9.0.2:$1"; }

dpdk_hello() {
    local server
    dpdk_in_b 20 "$build/bin/hello" listen 10.9.0.2:7000 &
    server=$!
    pids+=("$server")
    until_true dpdk_listens 7000
    dpdk_in_a 20 "$build/bin/hello" 10.9.0.2:7000
    wait "$server"
}

# Sends the file of quickstart.sh, and compares the copy with its SHA-256.
dpdk_file() {
    local receiver sender received
    dpdk_in_b 60 "$build/bin/machnet" cat --listen 10.9.0.2:7001 >"$work/copy" &
    receiver=$!
    pids+=("$receiver")
    until_true dpdk_listens 7001
    dpdk_in_a 60 "$build/bin/machnet" cat --progress 10.9.0.2:7001 <"$work/file" &
    sender=$!
    pids+=("$sender")
    wait "$sender"
    wait "$receiver"
    received=$(sha256sum <"$work/copy" | cut -d' ' -f1)
    [ "$received" = "$(sha256sum <"$work/file" | cut -d' ' -f1)" ] || { echo "quickstart: the copy differs from the file" >&2; return 1; }
    echo "SHA-256 $received (both sides)"
}

# ---- Measuring: host A, engine and application, lives on one processor and host B on another, if there are two. All take short turns, so that
# what else happens on this machine happens to all of them ----

rounds=5 duration=0.3 warmup=0.1

allowed=$(taskset -cp $$)
allowed=${allowed##*: }
cpu_a=${allowed%%[,-]*}
cpu_b=${allowed##*[,-]}

# pin CPU PID...
pin() {
    for pid in "${@:2}"; do taskset -acp "$1" "$pid" >/dev/null; done
}

# row NAME COMMAND...: notes what the JSON object says that the command prints.
row() {
    "${@:2}" >"$work/measured"
    awk -v name="$1" '
        function number(key) { return match($0, "\"" key "\": *[0-9.]+") ? substr($0, RSTART + length(key) + 3, RLENGTH - length(key) - 3) + 0 : 0 }
        { printf "%s\t%f\t%f\t%f\n", name, number("p50"), number("p99"), number("messages_per_second") }' "$work/measured" >>"$work/table"
}

# server WORD COMMAND...: starts a server that says the word when it serves; its pid is in $server.
server() {
    taskset -c "$cpu_b" "${@:2}" >"$work/server.log" 2>&1 &
    server=$!
    pids+=("$server")
    until_true grep -q "$1" "$work/server.log"
}

# sockets NAME ADDRESS:PORT [IN_A IN_B]: a ping-pong of plain UDP sockets, in two namespaces.
sockets() {
    server serving ${4:+ip netns exec "$4"} "$work/udp_pingpong" --listen "$2"
    row "$1" taskset -c "$cpu_a" ${3:+ip netns exec "$3"} "$work/udp_pingpong" --duration "$duration" --warmup "$warmup" "$2"
    kill "$server"
    wait "$server" 2>/dev/null || true
}

# The kernel must not have the engines' addresses: sockets have a veth pair of their own.
prepare_sockets() {
    "${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -Icapi tests/bench/udp_pingpong.c capi/tools/perf_histogram.c capi/tools/perf_pattern.c -o "$work/udp_pingpong"
    ip -n "$namespace_a" address add 10.10.0.1/24 dev veth1
    ip -n "$namespace_b" address add 10.10.0.2/24 dev veth1
}

# perf NAME SOCKET-OF-A SOCKET-OF-B ADDRESS:PORT OPTION...
perf() {
    server serving env "MACHNET_SOCKET=$3" timeout --foreground 30 "$build/bin/machnet" perf --listen --once "$4"
    row "$1" taskset -c "$cpu_a" env "MACHNET_SOCKET=$2" timeout --foreground 30 "$build/bin/machnet" perf --duration "$duration" --warmup "$warmup" --json "${@:5}" "$4"
    wait "$server"
}

measure_in_turns() {
    local udp=("$work/a.sock" "$work/b.sock") dpdk=("$work/dpdk-a.sock" "$work/dpdk-b.sock")
    pin "$cpu_a" "${engines[0]}" "${engines[2]}"
    pin "$cpu_b" "${engines[1]}" "${engines[3]}"
    : >"$work/table"
    for _ in $(seq "$rounds"); do
        measure_each
    done
}

measure_each() {
    sockets "UDP sockets, loopback" 127.0.0.3:7100
    sockets "UDP sockets, veth pair" 10.10.0.2:7100 "$namespace_a" "$namespace_b"
    perf "machnet --nic udp, loopback" "${udp[@]}" 127.0.0.3:7002
    perf "machnet --nic dpdk, veth pair" "${dpdk[@]}" 10.9.0.2:7002
    perf "machnet --nic udp, 32 in flight" "${udp[@]}" 127.0.0.3:7003 --window 32
    perf "machnet --nic dpdk, 32 in flight" "${dpdk[@]}" 10.9.0.2:7003 --window 32
}

print_table() {
    local load
    load=$(cut -d' ' -f1 /proc/loadavg)
    printf '  %-36s %9s %9s %12s\n' "one in flight, if nothing is said" "p50 us" "p99 us" "per second"
    awk -F'\t' '
        function median(name, column,   i, j, swap, values) {
            for (i = 1; i <= count[name]; i++) {
                values[i] = seen[name, column, i]
                for (j = i; j > 1 && values[j - 1] > values[j]; j--) { swap = values[j]; values[j] = values[j - 1]; values[j - 1] = swap }
            }
            return values[int((count[name] + 1) / 2)]
        }
        !($1 in count) { names[++known] = $1 }
        { count[$1]++; for (i = 2; i <= 4; i++) seen[$1, i, count[$1]] = $i + 0 }
        END { for (i = 1; i <= known; i++) printf "  %-36s %9.1f %9.1f %12.0f\n", names[i], median(names[i], 2), median(names[i], 3), median(names[i], 4) }' \
        "$work/table"
    echo "  Medians of $rounds turns of $duration s; host A on processor $cpu_a, host B on $cpu_b; load $load: other programs that run spoil it."
    echo "  tests/bench/latency.sh measures with more care."
}

dpdk_half() {
    say "7. The same over DPDK: two network namespaces, a veth pair between them, an engine on each end"
    local obstacle engines=("${pids[0]}" "${pids[1]}") server
    obstacle=$(dpdk_obstacle)
    if [ -n "$obstacle" ]; then
        echo "SKIPPED: $obstacle"
        return 0
    fi
    dpdk_engine "$namespace_a" 10.9.0.1 "$work/dpdk-a.sock"
    engines+=("${pids[-1]}")
    dpdk_engine "$namespace_b" 10.9.0.2 "$work/dpdk-b.sock"
    engines+=("${pids[-1]}")
    dpdk_hello
    dpdk_file
    say "8. machnet perf: 64 bytes there and back"
    prepare_sockets
    measure_in_turns
    print_table
}
