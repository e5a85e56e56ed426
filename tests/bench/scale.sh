#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Thousands of channels and a hundred thousand flows on one engine: time, memory, and what it takes of a core while nothing happens.
set -euo pipefail

usage() {
    cat <<'END'
Usage: tests/bench/scale.sh [OPTION]...

Opens channels on one engine, flows from them to another engine, and sends a message through each flow. Prints how long each step took
(all applications together) and how long the slowest `machnet status` took meanwhile, and what each engine has three seconds later: private and shared memory, descriptors, and what idling takes of a
core.

  --channels N       (4096)
  --flows N          of all channels together (100000)
  --applications N   processes that share them (4)
  --idle SECONDS     measured after each step (3)
  --help             this text

A channel takes about 2.4 MiB of shared memory. MACHNET_BUILD names the build directory (build/release).
END
}

channels=4096 flows=100000 applications=4 idle=3
while [ $# -gt 0 ]; do
    case $1 in
        --channels | --flows | --applications | --idle)
            if [ $# -lt 2 ] || ! [[ $2 =~ ^[1-9][0-9]{0,5}$ ]]; then
                echo "scale.sh: $1 needs a number from 1 to 999999" >&2
                exit 2
            fi
            declare "${1#--}=$2"
            shift ;;
        -h | --help) usage; exit 0 ;;
        *) echo "scale.sh: unknown option '$1'; see --help" >&2; exit 2 ;;
    esac
    shift
done
if [ $((channels % applications + flows % applications)) -ne 0 ]; then
    echo "scale.sh: $applications applications cannot share $channels channels and $flows flows evenly" >&2
    exit 2
fi
needed=$((channels * 5 / 2)) available=$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)
if [ "$needed" -gt "$available" ]; then
    echo "scale.sh: $channels channels need $needed MiB, and $available are free" >&2
    exit 1
fi
ulimit -n "$(ulimit -Hn)"
. "$(dirname "$0")/engines.bash"
build_program flows
start_engines --quota-channels 65536 --quota-bytes $((needed + 1024))M --quota-flows 1048576

pids=()
stop_all() {
    kill "${asker-}" "${pids[@]}" 2>/dev/null || true
    clean_up
}
trap stop_all EXIT

kib() { # PID, FIELD
    awk -v field="$2:" '$1 == field { print $2 }' "/proc/$1/status"
}

descriptors() {
    set -- "/proc/$1/fd/"*
    echo $#
}

flows_left() {
    local socket
    for socket in "$socket_1" "$socket_2"; do MACHNET_SOCKET=$socket "$build/bin/machnet" status --json 2>/dev/null || echo '"flow_count":1'; done |
        grep -o '"flow_count": *[0-9]*' | awk -F: '{ sum += $2 } END { print sum }'
}

# How long each `machnet status` of engine 1 takes, in seconds, until it is killed.
ask_for_status() {
    local start result
    while :; do
        start=$EPOCHREALTIME result=
        MACHNET_SOCKET=$socket_1 "$build/bin/machnet" status --json >"$directory/status" 2>&1 || result=" (no answer)"
        echo "$(since "$start")$result" >>"$directory/answers"
        sleep 0.2
    done
}

slowest_status() {
    sort -g "$directory/answers" | tail -1
    : >"$directory/answers"
}

declare -A base
# What each engine has, and for `per` things how much more than at the last call for one of these.
report() { # STEP, COUNT
    local i before=() ns private shared
    sleep 3
    for i in 0 1; do before[i]=$(cpu_ns "${engines[i]}"); done
    sleep "$idle"
    for i in 0 1; do
        ns=$(($(cpu_ns "${engines[i]}") - before[i]))
        private=$(kib "${engines[i]}" RssAnon) shared=$(kib "${engines[i]}" RssShmem)
        awk -v engine=$((i + 1)) -v ns="$ns" -v s="$idle" -v private="$private" -v shared="$shared" -v fds="$(descriptors "${engines[i]}")" \
            -v was_private="${base[p$i]:-$private}" -v was_shared="${base[s$i]:-$shared}" -v count="$2" 'BEGIN {
            printf "  engine %d: %.1f MiB private, %.1f MiB shared, %d descriptors, idle %.2f %% of a core", engine, private / 1024, shared / 1024, fds, ns / s / 1e7
            if (count > 0) printf "; for each %.2f KiB private, %.1f KiB shared", (private - was_private) / count, (shared - was_shared) / count
            print "" }'
        base[p$i]=$private base[s$i]=$shared
    done
}

wait_for_step() { # STEP
    local i
    for ((i = 0; i < applications; i++)); do
        until grep -q "^$1 " "$directory/out.$i"; do
            kill -0 "${pids[$i]}" 2>/dev/null || { cat "$directory/out.$i" >&2; exit 1; }
            sleep 0.05
        done
    done
}

go_on() {
    local i
    for ((i = 0; i < applications; i++)); do echo >&"${inputs[$i]}"; done
}

ask_for_status &
asker=$!
inputs=()
for ((i = 0; i < applications; i++)); do
    mkfifo "$directory/in.$i"
    MACHNET_SOCKET=$socket_1 MACHNET_SOCKET_2=$socket_2 "$directory/flows" $((channels / applications)) $((flows / applications)) 256 \
        "$ip_2:$((7000 + i))" <"$directory/in.$i" >"$directory/out.$i" 2>&1 &
    pids+=($!)
    exec {input}>"$directory/in.$i"
    inputs+=("$input")
done
wait_for_step ready
echo "$applications applications, attached to engine 2 to listen"
report ready 0
for step in channels flows messages closed; do
    slowest_status >/dev/null
    start=$EPOCHREALTIME
    go_on
    wait_for_step "$step"
    seconds=$(since "$start")
    case $step in
        channels) count=$channels; printf '%d channels opened in %.2f s\n' "$count" "$seconds" ;;
        flows) count=$flows; printf '%d flows opened in %.2f s\n' "$count" "$seconds" ;;
        messages) count=0; printf '%d messages, one on each flow, in %.2f s\n' "$flows" "$seconds" ;;
        closed)
            count=0
            until [ "$(flows_left)" -eq 0 ]; do sleep 0.1; done
            printf 'all channels closed with their flows in %.2f s, and forgotten by both engines after %.2f s\n' "$seconds" "$(since "$start")" ;;
    esac
    echo "  slowest answer to machnet status meanwhile: $(slowest_status) s"
    report "$step" "$count"
done
go_on
wait "${pids[@]}"
pids=()
