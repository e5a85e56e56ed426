# SPDX-License-Identifier: MIT
#
# For the scripts beside it: two engines on loopback, stopped at the end. Sets build, directory, ip_1, ip_2, socket_1, socket_2. Where else they
# are to be, a script says before start_engines by ip_1, ip_2, flags_1, flags_2 and wrapper_1, wrapper_2 (arrays; commands before machnetd).

build=${MACHNET_BUILD:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/build/release}
[ -x "$build/bin/machnetd" ] || { echo "$0: $build/bin/machnetd is missing; build first, or set MACHNET_BUILD" >&2; exit 2; }
directory=$(mktemp -d -t machnet-bench.XXXXXX)
ip_1=127.77.$(($$ % 250)).2
ip_2=127.77.$(($$ % 250)).3
socket_1=$directory/1.sock
socket_2=$directory/2.sock
engines=()
flags_1=() flags_2=() wrapper_1=() wrapper_2=()

clean_up() {
    local engine
    for engine in "${engines[@]}"; do
        kill "$engine" 2>/dev/null && wait "$engine" 2>/dev/null || true # it may have ended badly: the others end all the same
    done
    rm -rf "$directory"
}
trap clean_up EXIT
trap 'set +e; exit 130' INT TERM # with -e, bash 5.2 may leave clean_up after its first command if the signal met a builtin

start_engines() {
    local i
    for i in 1 2; do
        local ip=ip_$i socket=socket_$i flags=flags_$i[@] wrapper=wrapper_$i[@]
        "${!wrapper}" "$build/bin/machnetd" --ip "${!ip}" --socket "${!socket}" "${!flags}" "$@" 2>"$directory/log.$i" &
        engines+=($!)
    done
    for i in 1 2; do
        until grep -q ready "$directory/log.$i"; do
            kill -0 "${engines[$((i - 1))]}" || { cat "$directory/log.$i" >&2; exit 1; }
            sleep 0.01
        done
    done
}

build_program() { # NAME: of a file beside this one, into $directory; SOURCE...: what it takes of capi/tools
    local name=$1 tree
    shift
    tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
    "${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -I"$tree/capi/include" -I"$tree/capi" "$tree/tests/bench/$name.c" \
        "${@/#/$tree/capi/tools/}" "$build/lib/libmachnet.a" -pthread -o "$directory/$name"
}

# Until an application listens on engine 2.
wait_for_listener() {
    until MACHNET_SOCKET=$socket_2 "$build/bin/machnet" status --json | grep -q '"listeners": *\[{'; do sleep 0.01; done
}

# ns that the threads of a process have run, user and system.
cpu_ns() { # PID
    cat /proc/"$1"/task/*/schedstat | awk '{ sum += $1 } END { printf "%.0f\n", sum }'
}

since() {
    awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.6f\n", b - a }'
}

median() {
    sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}
