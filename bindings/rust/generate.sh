#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# generate.sh DIRECTORY: writes the declarations of machnet-sys, made from machnet.h by Debian's bindgen, into DIRECTORY.
set -euo pipefail

if [ $# -ne 1 ]; then
    echo "usage: bindings/rust/generate.sh DIRECTORY" >&2
    exit 2
fi
if ! command -v bindgen >/dev/null; then
    echo "bindings/rust/generate.sh: bindgen is missing; tests/install-packages.sh test installs it" >&2
    exit 1
fi

here=$(cd "$(dirname "$0")" && pwd)
header=$here/../../capi/include/machnet/machnet.h
made=$1/rust/machnet-sys/src/bindings.rs
mkdir -p "$(dirname "$made")"
# One rustfmt, whatever the PATH: the file must not depend on it.
[ ! -x /usr/bin/rustfmt ] || export RUSTFMT=/usr/bin/rustfmt
{
    echo '// SPDX-License-Identifier: MIT'
    echo '// Generated from machnet.h by bindings/rust/generate.sh; do not edit.'
    echo
    bindgen "$header" \
        --allowlist-function 'machnet_.*' --allowlist-type 'machnet_.*' --allowlist-var 'MACHNET_.*' \
        --translate-enum-integer-types --no-prepend-enum-name \
        --disable-header-comment --rustfmt-configuration-file "$here/rustfmt.toml" --rust-target 1.47 |
        grep -v '^pub type __u\?int[0-9]*_t = ' # libc's names, which nothing refers to
} >"$made"
