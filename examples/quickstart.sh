#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Builds Machnet, starts two engines on this machine as if they were two hosts, says hello from one to the other, sends a large
# file across and checks it. As root it does so once more over DPDK, and measures (quickstart_dpdk.bash).
set -euo pipefail

if [ $# -gt 0 ]; then
    echo "Usage: examples/quickstart.sh"
    echo "Installs the Debian packages that are missing, builds into build/quickstart, runs two engines on 127.0.0.2 and 127.0.0.3,"
    echo "sends a message and at least 100 MB from one to the other, checks them, and leaves nothing running."
    echo "As root it installs DPDK too, does the same over DPDK between two network namespaces, and measures both."
    echo "With MACHNET_BUILD set to a directory where Machnet is built already, it installs and builds nothing."
    case $1 in -h | --help) exit 0 ;; *) exit 2 ;; esac
fi

cd "$(dirname "$0")/.."
build=${MACHNET_BUILD:-$PWD/build/quickstart}
say() { printf '\n== %s\n' "$*"; }
. examples/quickstart_dpdk.bash

if [ -n "${MACHNET_BUILD:-}" ]; then
    say "1. and 2. Packages and build: as they are in $build (MACHNET_BUILD)"
    [ -x "$build/bin/machnetd" ] || { echo "quickstart: $build/bin/machnetd is missing; unset MACHNET_BUILD to have it built" >&2; exit 1; }
else
    mkdir -p "$build" && [ -w "$build" ] || { echo "quickstart: cannot write into $build; run this in a copy of the tree that is yours" >&2; exit 1; }
    say "1. Packages"
    tests/install-packages.sh build
    dpdk_packages

    say "2. Build (build/quickstart)"
    cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DMACHNET_TESTS=OFF >"$build/configure.log" 2>&1 || { cat "$build/configure.log"; exit 1; }
    cmake --build "$build" -- --quiet
fi

work=''
pids=()
clean() {
    status=$?
    trap - EXIT
    trap '' INT TERM
    delete_namespaces
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    case $status in
        0) ;;
        130 | 143) printf '\nquickstart: interrupted\n' >&2 ;;
        *) echo "quickstart: failed; the engines said:" >&2; cat "$work"/*.log >&2 2>/dev/null || true ;;
    esac
    [ -z "$work" ] || rm -rf "$work"
    exit "$status"
}
trap clean EXIT
trap 'set +e; exit 130' INT # with -e, bash 5.2 may leave clean after its first command if the signal met a builtin
trap 'set +e; exit 143' TERM
work=$(mktemp -d -t machnet-quickstart.XXXXXX)

# Starts an engine as one "host" and waits until it answers.
engine() {
    local ip=$1 socket=$2
    setsid "$build/bin/machnetd" --ip "$ip" --socket "$socket" 2>"$socket.log" & # Ctrl-C is for this script to handle
    pids+=($!)
    for _ in $(seq 100); do
        MACHNET_SOCKET=$socket "$build/bin/machnet" status >/dev/null 2>&1 && return
        kill -0 "${pids[-1]}" 2>/dev/null || break
        sleep 0.05
    done
    echo "quickstart: the engine on $ip did not start" >&2
    return 1
}

say "3. Two engines: host A on 127.0.0.2, host B on 127.0.0.3"
engine 127.0.0.2 "$work/a.sock"
engine 127.0.0.3 "$work/b.sock"
on_a() { MACHNET_SOCKET=$work/a.sock "$@"; }
on_b() { MACHNET_SOCKET=$work/b.sock "$@"; }
# Waits until host B listens on a flow port.
listening() {
    for _ in $(seq 100); do
        on_b "$build/bin/machnet" status --json | grep -q "127.0.0.3:$1" && return
        sleep 0.02
    done
    echo "quickstart: nothing listens on 127.0.0.3:$1" >&2
    return 1
}

say "4. Hello (examples/hello.c)"
on_b timeout --foreground 20 "$build/bin/hello" listen 127.0.0.3:7000 &
server=$!
pids+=("$server")
listening 7000
on_a timeout --foreground 20 "$build/bin/hello" 127.0.0.3:7000
wait "$server"

say "5. A large file, from A to B, with machnet cat"
# The system's own files, at least 100 MB of them; not the shortest pipe, but one that head may close early.
find /usr/bin /usr/lib -type f -readable -print0 2>/dev/null | LC_ALL=C sort -z | xargs -0 cat 2>/dev/null | head -c 200000000 >"$work/file" || true
size=$(stat -c %s "$work/file")
[ "$size" -ge 100000000 ] || { echo "quickstart: found only $size bytes of files to send" >&2; exit 1; }
on_b timeout --foreground 120 "$build/bin/machnet" cat --listen 127.0.0.3:7001 >"$work/copy" &
receiver=$!
pids+=("$receiver")
listening 7001
start=$(date +%s%N)
on_a timeout --foreground 120 "$build/bin/machnet" cat --progress 127.0.0.3:7001 <"$work/file" &
sender=$!
pids+=("$sender")
while kill -0 "$sender" 2>/dev/null; do # the status while data flows, for below
    on_a "$build/bin/machnet" status >"$work/status"
    if grep -Eq '127\.0\.0\.3:7001 +open +[1-9]' "$work/status"; then break; fi
done
wait "$sender"
end=$(date +%s%N)
wait "$receiver"
sent=$(sha256sum <"$work/file" | cut -d' ' -f1)
received=$(sha256sum <"$work/copy" | cut -d' ' -f1)
[ "$sent" = "$received" ] || { echo "quickstart: the copy differs from the file" >&2; exit 1; }

say "6. machnet status on host A, while the file was on its way"
cat "$work/status"

say "Result"
awk -v size="$size" -v ns="$((end - start))" -v hash="$sent" 'BEGIN {
    printf "%-14s %d bytes in %.2f s, %.2f GB/s\n", "sent", size, ns / 1e9, size / ns
    printf "%-14s %s (both sides)\n", "SHA-256", hash }'

dpdk_half

cat <<END

Next: read examples/hello.c (it is short), and README.md for how to run an engine on each of two machines:
  $build/bin/machnetd --ip ADDRESS-OF-THIS-MACHINE
  $build/bin/machnet cat --listen ADDRESS:PORT > copy      and      machnet cat ADDRESS:PORT < file
All tests: tests/run.sh
END
