#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The tests of the binding, with real engines. ctest-timeout: 900
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
go vet ./...

go build -o "$out/hello" ./samples/hello
CGO_LDFLAGS="-L$MACHNET_BUILD/lib" go build -tags machnet_static -o "$out/hello-static" ./samples/hello
if command -v pkg-config >/dev/null && [ -f "$MACHNET_BUILD/capi/machnet.pc" ]; then # laid out as after an installation
    installed=$out/installed
    rm -rf "$installed"
    mkdir -p "$installed/lib/pkgconfig" "$installed/include"
    cp -P "$MACHNET_BUILD"/lib/libmachnet.so* "$installed/lib"
    cp -R "$tree/capi/include/machnet" "$installed/include"
    cp "$MACHNET_BUILD/capi/machnet.pc" "$installed/lib/pkgconfig"
    CGO_CFLAGS=-O2 CGO_LDFLAGS='' PKG_CONFIG_PATH=$installed/lib/pkgconfig go build -tags machnet_pkgconfig -o "$out/hello-pkgconfig" ./samples/hello
fi

export MACHNET_GO_HELLO=$out
GODEBUG=cgocheck=1 go test -count=1 -timeout 240s ./...
go test -count=1 -timeout 400s -race ./...
