#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Measures what a message costs through this binding, over the echo of the build in MACHNET_BUILD. Prints one line of JSON.
# With --remote ADDRESS: through the engine of MACHNET_SOCKET, to bench_server.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
MACHNET_BUILD=${MACHNET_BUILD:-$here/../../build/release}
export MACHNET_LIB_DIR=$MACHNET_BUILD/lib CARGO_TARGET_DIR=$MACHNET_BUILD/bindings/rust
cargo build --manifest-path "$here/Cargo.toml" --quiet --offline --locked --release --package machnet-bench >&2
LD_LIBRARY_PATH=$MACHNET_BUILD/lib exec "$CARGO_TARGET_DIR/release/machnet-bench" "$@"
