#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Tests of the Rust binding against the build in MACHNET_BUILD: with the cargo of the PATH everything, with Debian's (the oldest rustc that
# is promised) the tests, and clippy if the other has none.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
: "${MACHNET_BUILD:=$here/../../build/release}"
MACHNET_BUILD=$(cd "$MACHNET_BUILD" && pwd)
export MACHNET_BUILD MACHNET_LIB_DIR=$MACHNET_BUILD/lib
export LD_LIBRARY_PATH=$MACHNET_BUILD/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} CARGO_TERM_COLOR=never RUST_BACKTRACE=1
# Everything is compiled once and run: neither what a debugger needs nor what the next build would reuse is worth the time.
export CARGO_PROFILE_DEV_DEBUG=0 CARGO_INCREMENTAL=0
target=$MACHNET_BUILD/bindings/rust
work=$(mktemp -d)
engines=()
trap 'for pid in "${engines[@]}"; do kill "$pid" 2>/dev/null || true; done; wait; rm -rf "$work"' EXIT

if ! command -v cargo >/dev/null; then
    echo "skipped: there is no cargo; tests/install-packages.sh test installs it"
    exit 77
fi
cd "$here"

step() {
    echo "== $*"
    "$@"
}

linted=false

# test_with TARGET CARGO: unit tests, tests against engines, examples of the documentation, lints and format.
test_with() {
    export CARGO_TARGET_DIR=$1
    local cargo=$2
    step "$cargo" --version
    step "$cargo" test --offline --locked --quiet
    if ! $linted && "$cargo" clippy --version >/dev/null 2>&1; then
        step "$cargo" clippy --offline --locked --quiet --workspace --all-targets -- -D warnings
        linted=true
    fi
    if "$cargo" fmt --version >/dev/null 2>&1; then
        step "$cargo" fmt --all --check
    fi
}

# Both crates as they would be published: packaged, and built from the packages alone. The copy keeps the source tree as it was.
test_packages() {
    cp -r "$here" "$work/rust"
    (cd "$work/rust" && step cargo package --offline --quiet --allow-dirty --no-verify --package machnet-sys)
    # machnet needs a published machnet-sys: cargo takes a directory of packages in its place.
    mkdir -p "$work/vendor"
    tar -xzf "$CARGO_TARGET_DIR"/package/machnet-sys-*.crate -C "$work/vendor"
    echo '{"files":{},"package":null}' >"$(echo "$work"/vendor/machnet-sys-*)/.cargo-checksum.json"
    mkdir -p "$work/rust/.cargo"
    cat >"$work/rust/.cargo/config.toml" <<END
[source.crates-io]
replace-with = "packages"
[source.packages]
directory = "$work/vendor"
END
    (cd "$work/rust" && step cargo package --offline --quiet --allow-dirty --package machnet)
}

start_engine() {
    "$MACHNET_BUILD/bin/machnetd" --socket "$work/$1.sock" --ip "$2" 2>"$work/$1.log" &
    engines+=($!)
    for _ in $(seq 500); do
        ! grep -q ready "$work/$1.log" || return 0
        sleep 0.02
    done
    cat "$work/$1.log" >&2
    return 1
}

# From here on the static library is found by pkg-config as where it is installed below /usr: without -L. The .pc file says the rest itself.
find_as_installed() {
    if ! command -v pkg-config >/dev/null || [ ! -f "$MACHNET_BUILD/capi/machnet.pc" ]; then
        return 0
    fi
    mkdir -p "$work/lib/pkgconfig"
    cp "$MACHNET_BUILD/lib/libmachnet.a" "$work/lib"
    cp "$MACHNET_BUILD/capi/machnet.pc" "$work/lib/pkgconfig"
    unset MACHNET_LIB_DIR
    export MACHNET_STATIC=1 PKG_CONFIG_PATH=$work/lib/pkgconfig PKG_CONFIG_SYSTEM_LIBRARY_PATH=$work/lib:$work/lib/pkgconfig/../../lib
}

# The sample as people run it, against the one in C where that was built.
test_sample() {
    local net=127.$((200 + $$ % 50)).$(($$ / 50 % 250)) hello=$CARGO_TARGET_DIR/debug/hello answer
    local event_loop=$CARGO_TARGET_DIR/debug/examples/event_loop
    (
        find_as_installed
        step cargo build --offline --locked --quiet --package machnet-hello
        step cargo build --offline --locked --quiet --package machnet --examples
    )
    if [ -d "$work/lib" ] && readelf --dynamic "$hello" "$event_loop" | grep -F libmachnet.so; then
        echo "a program built with MACHNET_STATIC=1 needs the shared library" >&2
        return 1
    fi
    start_engine one "$net.2"
    start_engine two "$net.3"
    MACHNET_SOCKET=$work/two.sock timeout 20 "$hello" listen "$net.3:7000" >"$work/listen.out" &
    local listener=$!
    for _ in $(seq 100); do # until it listens
        ! answer=$(MACHNET_SOCKET=$work/one.sock timeout 20 "$hello" "$net.3:7000" 2>/dev/null) || break
        sleep 0.05
    done
    wait "$listener"
    [ "$answer" = "received: hello, too" ]
    [ "$(cat "$work/listen.out")" = "received: hello, world" ]
    MACHNET_SOCKET=$work/two.sock timeout 20 "$event_loop" "$net.3:7001" >"$work/loop.out" &
    local loop=$!
    for _ in $(seq 100); do
        ! answer=$(MACHNET_SOCKET=$work/one.sock timeout 20 "$hello" "$net.3:7001" 2>/dev/null) || break
        sleep 0.05
    done
    wait "$loop"
    [ "$answer" = "received: hello, world" ]
    echo "== sample and event loop: ok"
}

test_with "$target" cargo
step env RUSTDOCFLAGS="-D warnings" cargo doc --offline --locked --quiet --no-deps
test_packages
test_sample
if [ -x /usr/bin/cargo ] && [ "$(command -v cargo)" != /usr/bin/cargo ]; then
    export PATH=/usr/bin:$PATH
    test_with "$target/debian" /usr/bin/cargo
fi
