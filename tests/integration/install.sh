#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# ctest-timeout: 60
#
# What `cmake --install` lays out, and that it works from there: programs, header, library, pkg-config, man pages.
set -euo pipefail

[ -z "${MACHNET_SANITIZE:-}" ] || { echo "skipped: what is installed is not built with sanitizers"; exit 77; }
tree=$(cd "$(dirname "$0")/../.." && pwd)
directory=$(mktemp -d -t machnet-install.XXXXXX)
trap 'rm -rf "$directory"' EXIT
prefix=$directory/usr
failed=0

complain() {
    echo "install.sh: $*" >&2
    failed=1
}

cmake --install "$MACHNET_BUILD" --prefix "$prefix" >"$directory/log" || { cat "$directory/log"; exit 1; }

library=$(dirname "$(find "$prefix" -name libmachnet.so.1)")
expected=(bin/machnet bin/machnetd include/machnet/machnet.h share/man/man1/machnet.1 share/man/man3/machnet.3 share/man/man8/machnetd.8
    "${library#"$prefix"/}"/{libmachnet.so,libmachnet.so.1,libmachnet.a,pkgconfig/machnet.pc})
for file in "${expected[@]}"; do
    [ -s "$prefix/$file" ] || complain "$file is missing"
done
headers=$(find "$prefix/include" -type f)
[ "$headers" = "$prefix/include/machnet/machnet.h" ] || complain "more headers than one: $headers"

# Nothing of the build directory is needed any more, nor named.
for program in machnet machnetd; do
    said=$(env -u LD_LIBRARY_PATH "$prefix/bin/$program" --version)
    [[ $said == "$program "[0-9]* ]] || complain "$program --version: $said"
    readelf -d "$prefix/bin/$program" | grep -qF "$MACHNET_BUILD" && complain "$program looks for libraries in the build directory"
done

export PKG_CONFIG_PATH=$library/pkgconfig
read -ra shared < <(pkg-config --cflags --libs machnet)
read -ra static < <(pkg-config --cflags --libs --static machnet)
"${CC:-cc}" -std=c11 "$tree/examples/hello.c" -o "$directory/hello" "${shared[@]}"
readelf -d "$directory/hello" | grep -q 'NEEDED.*\[libmachnet\.so\.1\]' || complain "hello does not need libmachnet.so.1"
"${CC:-cc}" -std=c11 "$tree/examples/hello.c" -o "$directory/hello-static" "${static[@]/-lmachnet/-l:libmachnet.a}"
readelf -d "$directory/hello-static" | grep -q 'NEEDED.*libmachnet' && complain "hello-static needs the shared library"

ip=127.$((1 + $$ % 250)).$((1 + $$ / 250 % 250)).2 # no other test process has it
"$prefix/bin/machnetd" --ip "$ip" --socket "$directory/machnet.sock" 2>"$directory/engine.log" &
engine=$!
trap 'kill "$engine" 2>/dev/null || true; rm -rf "$directory"' EXIT
for _ in $(seq 100); do
    grep -q ready "$directory/engine.log" && break
    sleep 0.1
done
export MACHNET_SOCKET=$directory/machnet.sock
"$prefix/bin/machnet" status >/dev/null || complain "machnet status"
for hello in hello hello-static; do
    # Nobody listens there: that the engine says so is answer enough.
    said=$(LD_LIBRARY_PATH=$library timeout 20 "$directory/$hello" "$ip:7000" 2>&1) && complain "$hello found a listener"
    grep -qi "listens" <<<"$said" || complain "$hello: $said"
done
kill "$engine"
wait "$engine" || complain "machnetd ended with $?: $(cat "$directory/engine.log")"
exit $failed
