#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Builds Machnet, starts two engines on this machine as if they were two hosts, says hello from one to the other, sends a large
# file across and checks it.
set -euo pipefail

if [ $# -gt 0 ]; then
    echo "Usage: examples/quickstart.sh"
    echo "Installs the Debian packages that are missing, builds into build/quickstart, runs two engines on 127.0.0.2 and 127.0.0.3,"
    echo "sends a message and at least 100 MB from one to the other, checks them, and leaves nothing running."
    case $1 in -h | --help) exit 0 ;; *) exit 2 ;; esac
fi

cd "$(dirname "$0")/.."
build=$PWD/build/quickstart
mkdir -p "$build"
say() { printf '\n== %s\n' "$*"; }

say "1. Packages"
tests/install-packages.sh build

say "2. Build (build/quickstart)"
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DMACHNET_TESTS=OFF >"$build/configure.log" 2>&1 || { cat "$build/configure.log"; exit 1; }
cmake --build "$build" -- --quiet

work=$(mktemp -d /tmp/machnet-quickstart.XXXXXX)
pids=()
clean() {
    status=$?
    trap - EXIT INT TERM
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    [ "$status" -eq 0 ] || { echo "quickstart: failed; the engines said:" >&2; cat "$work"/*.log >&2 2>/dev/null || true; }
    rm -rf "$work"
    exit "$status"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Starts an engine as one "host" and waits until it answers.
engine() {
    local ip=$1 socket=$2
    "$build/bin/machnetd" --ip "$ip" --socket "$socket" 2>"$socket.log" &
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
on_b timeout 20 "$build/bin/hello" listen 127.0.0.3:7000 &
server=$!
listening 7000
on_a timeout 20 "$build/bin/hello" 127.0.0.3:7000
wait "$server"

say "5. A large file, from A to B, with machnet cat"
# The system's own files, at least 100 MB of them; not the shortest pipe, but one that head may close early.
find /usr/bin /usr/lib -type f -readable -print0 2>/dev/null | LC_ALL=C sort -z | xargs -0 cat 2>/dev/null | head -c 200000000 >"$work/file" || true
size=$(stat -c %s "$work/file")
[ "$size" -ge 100000000 ] || { echo "quickstart: found only $size bytes of files to send" >&2; exit 1; }
on_b timeout 120 "$build/bin/machnet" cat --listen 127.0.0.3:7001 >"$work/copy" &
receiver=$!
listening 7001
start=$(date +%s%N)
on_a timeout 120 "$build/bin/machnet" cat --progress 127.0.0.3:7001 <"$work/file"
end=$(date +%s%N)
wait "$receiver"
sent=$(sha256sum <"$work/file" | cut -d' ' -f1)
received=$(sha256sum <"$work/copy" | cut -d' ' -f1)
[ "$sent" = "$received" ] || { echo "quickstart: the copy differs from the file" >&2; exit 1; }

say "6. What the engine of host A saw"
on_a "$build/bin/machnet" status

say "Result"
awk -v size="$size" -v ns="$((end - start))" -v hash="$sent" 'BEGIN {
    printf "%-14s %d bytes in %.2f s, %.2f GB/s\n", "sent", size, ns / 1e9, size / ns
    printf "%-14s %s (both sides)\n", "SHA-256", hash }'
cat <<END

Next: read examples/hello.c (it is short), and README.md for how to run an engine on each of two machines:
  $build/bin/machnetd --ip ADDRESS-OF-THIS-MACHINE
  $build/bin/machnet cat --listen ADDRESS:PORT > copy      and      machnet cat ADDRESS:PORT < file
All tests: tests/run.sh
END
