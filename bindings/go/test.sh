#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The tests of the binding, with real engines: once as it is built by default, with the static library; once with -race and the shared one, found by
# pkg-config. Most of the time goes into compiling, so nothing is compiled twice for the same thing. ctest-timeout: 900
set -euo pipefail
cd "$(dirname "$0")"
if ! command -v go >/dev/null; then
    echo 'skipped: golang-go is not installed'
    exit 77
fi
. ./env.sh

badly_formatted=$(gofmt -l .)
if [ -n "$badly_formatted" ]; then
    echo "gofmt would change: $badly_formatted" >&2
    exit 1
fi
"$(go env CC)" -std=c11 -Wall -Wextra -Werror -Wno-unused-function -fsyntax-only -x c bridge.h
go vet ./samples/... ./bench
go build -o "$out/hello" ./samples/hello

export MACHNET_GO_HELLO=$out
go test -vet=all -count=1 -timeout 240s -tags machnet_static,machnet_http -o "$out/static.test" .
if readelf --dynamic "$out/static.test" | grep -F libmachnet.so; then
    echo 'a program built with -tags machnet_static needs the shared library' >&2
    exit 1
fi

tags=
if command -v pkg-config >/dev/null && [ -f "$MACHNET_BUILD/capi/machnet.pc" ]; then # laid out as after an installation
    installed=$out/installed
    rm -rf "$installed"
    mkdir -p "$installed/lib/pkgconfig" "$installed/include"
    cp -P "$MACHNET_BUILD"/lib/libmachnet.so* "$installed/lib"
    cp -R "$tree/capi/include/machnet" "$installed/include"
    cp "$MACHNET_BUILD/capi/machnet.pc" "$installed/lib/pkgconfig"
    export PKG_CONFIG_PATH=$installed/lib/pkgconfig
    unset C_INCLUDE_PATH LIBRARY_PATH
    tags=machnet_pkgconfig
fi
unset MACHNET_GO_HELLO # it was seen
go test -vet=off -count=1 -timeout 400s -race -tags "$tags" .
