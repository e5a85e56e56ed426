# SPDX-License-Identifier: MIT
#
# For the scripts beside it, after engines.bash: two hosts, A on core_a and B on core_b; a host's engine and application share its core.
# A row is a function that starts what it needs, prints what `machnet perf --json` says, and leaves the end to stop_all.

prefix=machnet-bench-$$
perf_options=() # of the client
realtime=()     # a command that gives all processes of a run another scheduling
be_realtime() {
    realtime=(chrt --rr 1)
    "${realtime[@]}" true 2>/dev/null || { echo "$0: --realtime needs the right to schedule in real time (root)" >&2; exit 2; }
}

started=()
start() { # CORE COMMAND...: in the background, until stop_all
    local core=$1
    shift
    : >"$directory/out.${#started[@]}"
    taskset -c "$core" "${realtime[@]}" "$@" >"$directory/out.${#started[@]}" 2>&1 &
    started+=($!)
}

# Waits until the process started last has said something.
until_said() {
    local last=$((${#started[@]} - 1))
    until grep -q "$1" "$directory/out.$last"; do
        kill -0 "${started[$last]}" 2>/dev/null || { cat "$directory/out.$last" >&2; return 1; }
        sleep 0.01
    done
}

stop_all() {
    local i
    for ((i = ${#started[@]} - 1; i >= 0; i--)); do
        kill "${started[$i]}" 2>/dev/null || true
        wait "${started[$i]}" 2>/dev/null || true
    done
    started=()
}

namespaces=()
clean_up_hosts() {
    stop_all
    local name
    for name in "${namespaces[@]}"; do ip netns del "$name"; done
    clean_up
}
trap clean_up_hosts EXIT

# ---- Engines: each starts both, and sets ip_a, ip_b and, if they live in namespaces, in_a and in_b ----

in_a=() in_b=() ip_a='' ip_b=''

udp_engines() { # POLL
    ip_a=$ip_1 ip_b=$ip_2 in_a=() in_b=()
    start "$core_a" "$build/bin/machnetd" --ip "$ip_a" --socket "$socket_1" --poll "$1"
    until_said ready || return 1
    start "$core_b" "$build/bin/machnetd" --ip "$ip_b" --socket "$socket_2" --poll "$1"
    until_said ready
}

dpdk_engines() { # POLL, DEVICE OF A, DEVICE OF B
    ip_a=10.9.0.1 ip_b=10.9.0.2
    start "$core_a" "${in_a[@]}" "$build/bin/machnetd" --nic dpdk --device "$2" --ip "$ip_a/24" --socket "$socket_1" --poll "$1"
    until_said ready || return 1
    start "$core_b" "${in_b[@]}" "$build/bin/machnetd" --nic dpdk --device "$3" --ip "$ip_b/24" --socket "$socket_2" --poll "$1"
    until_said ready
}

af_packet_engines() { # POLL
    make_namespaces || return 1
    in_a=(ip netns exec "${namespaces[0]}") in_b=(ip netns exec "${namespaces[1]}")
    dpdk_engines "$1" net_af_packet0,iface=veth0 net_af_packet0,iface=veth0
}

memif_engines() { # POLL
    local memif="socket=$directory/memif.sock,socket-abstract=no"
    rm -f "$directory/memif.sock"
    in_a=() in_b=()
    dpdk_engines "$1" "net_memif0,role=server,id=0,$memif" "net_memif0,role=client,id=0,$memif"
}

# ---- Rows ----

perf_over() { # NIC (udp, af_packet, memif), POLL: of engines and applications
    "$1_engines" "$2" || return 1
    start "$core_b" "${in_b[@]}" env "MACHNET_SOCKET=$socket_2" "$build/bin/machnet" perf --listen --poll "$2" "$ip_b:7000"
    until_said serving || return 1
    taskset -c "$core_a" "${realtime[@]}" "${in_a[@]}" env "MACHNET_SOCKET=$socket_1" "$build/bin/machnet" perf --poll "$2" --warmup 0.2 --json \
        "${perf_options[@]}" "$ip_b:7000"
}

# Plain UDP sockets, without engines. They take --size, --duration and --rate of perf_options.
udp_sockets() { # CORE OF B, OPTION OF BOTH SIDES...
    local core=$1 program=$directory/udp_pingpong port=$((20000 + $$ % 20000))
    shift
    [ -x "$program" ] || build_program udp_pingpong perf_histogram.c perf_pattern.c || return 1
    start "$core" "$program" --listen "$@" "$ip_2:$port"
    until_said serving || return 1
    taskset -c "$core_a" "${realtime[@]}" "$program" "$@" --warmup 0.2 "${perf_options[@]}" "$ip_2:$port"
}

has_dpdk() {
    "$build/bin/machnetd" --version | grep -qw dpdk
}

may_make_namespaces() {
    ip netns list >/dev/null 2>&1 && ip netns add "$prefix-try" 2>/dev/null && ip netns del "$prefix-try"
}

make_namespaces() {
    [ ${#namespaces[@]} -eq 0 ] || return 0
    local a=$prefix-a b=$prefix-b
    ip netns add "$a"
    namespaces+=("$a")
    ip netns add "$b"
    namespaces+=("$b")
    ip link add veth0 netns "$a" type veth peer name veth0 netns "$b"
    ip -n "$a" link set veth0 up
    ip -n "$b" link set veth0 up
}

field() { # NAME [OBJECT]: a number of a JSON object that machnet perf printed, or of an object in it
    if [ $# -eq 1 ]; then
        sed -n "s/.*[{ ]\"$1\": \([0-9.e+-]*\).*/\1/p"
    else
        sed -n "s/.*\"$2\": {[^}]*\"$1\": \([0-9.e+-]*\).*/\1/p"
    fi
}
