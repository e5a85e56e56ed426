#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Measures what a message costs in Python, and prints a line of JSON.
set -euo pipefail

usage() {
    cat <<'END'
Usage: bindings/python/bench.sh [--remote ADDRESS]

Prints what a 64-byte message costs, in ns for sending and receiving it: {"language": "python", "batch_ns": ..., "single_ns": ..., "async_ns": ...}.
MACHNET_BUILD names a build of this tree (default: build/release), of which it uses lib/libmachnet_echo.so.

--remote: round trips to bench_server at ADDRESS, through the engine of MACHNET_SOCKET: one message in flight, and batches of 32.
END
}

case ${1:-} in
    '' | --remote) ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
esac

here=$(cd "$(dirname "$0")" && pwd)
export MACHNET_BUILD=${MACHNET_BUILD:-$here/../../build/release}
"$here/build.sh" >&2
exec "$MACHNET_BUILD/bindings/python/venv/bin/python" -B "$here/bench/bench.py" "$@"
