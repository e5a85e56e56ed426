#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Builds the benchmark on demand, and prints one line of JSON: what a 64-byte message costs. MACHNET_BUILD names a build of the tree.
# With --remote ADDRESS: through the engine of MACHNET_SOCKET, to bench_server.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=bindings/csharp/dotnet.bash
. "$here/dotnet.bash"

build_project "$here/bench" >&2
exec dotnet "$artifacts/bin/bench/release/bench.dll" "$@"
