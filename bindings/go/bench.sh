#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Builds and runs bench/: one line of JSON. With --remote ADDRESS: through the engine of MACHNET_SOCKET, to bench_server.
set -euo pipefail
cd "$(dirname "$0")"
. ./env.sh
go build -o "$out/bench" ./bench
exec "$out/bench" "$MACHNET_BUILD/lib/libmachnet_echo.so" "$@"
