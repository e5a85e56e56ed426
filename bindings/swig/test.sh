#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# machnet.i is generated without a warning for each language, and the C that comes out names every function of the header.
set -euo pipefail

if ! command -v swig >/dev/null; then
    echo "skipped: no SWIG (swig)"
    exit 77
fi
here=$(cd "$(dirname "$0")" && pwd)
include=$here/../../capi/include
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT

functions=$(grep -oE '^[a-z].*\bmachnet_[a-z0-9_]+\(' "$include/machnet/machnet.h" | grep -oE 'machnet_[a-z0-9_]+\(' | tr -d '(' | sort -u)
[ "$(wc -l <<<"$functions")" -ge 39 ] || { echo "only these functions are found in the header: $functions" >&2; exit 1; }

status=0
for language in csharp java lua ruby perl5; do
    mkdir "$made/$language"
    said=$(swig -Wall -Werror "-$language" -I"$include" -outdir "$made/$language" -o "$made/$language/wrapper.c" "$here/machnet.i" 2>&1) || status=1
    if [ -n "$said" ]; then
        echo "$language: $said" >&2
        status=1
    fi
    missing=$(for function in $functions; do grep -qF "$function(" "$made/$language/wrapper.c" || echo "$function"; done)
    if [ -n "$missing" ]; then
        echo "$language: without" $missing >&2
        status=1
    fi
    [ $status -ne 0 ] || echo "$language ok"
done
exit $status
