#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# machnet.h and examples/hello.c are C99, C11, C17 and C++11 to C++20, pedantically: no word that only one of them has, and no warning.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0

# The header alone: it includes what it needs, and its functions can be called from this language.
cat >"$scratch/alone.c" <<'END'
#include <machnet/machnet.h>
int main(void) { return machnet_abi_version() == (uint32_t)MACHNET_ABI_VERSION ? 0 : 1; }
END

# try <language> <standard> <compiler>
try() {
    for source in "$scratch/alone.c" "$root/examples/hello.c"; do
        if ! $3 -x "$1" -std="$2" -Wall -Wextra -pedantic -Werror -I"$root/capi/include" -c -o "$scratch/object" "$source"; then
            echo "dialects.sh: $(basename "$source") is not $2 for $3" >&2
            failed=1
        elif ! nm "$scratch/object" | grep -q ' U machnet_abi_version$\| U machnet_context_open$'; then
            echo "dialects.sh: as $2 the functions have other names" >&2
            failed=1
        fi
    done
    tried=$((tried + 1))
}

tried=0
for standard in c99 c11 c17; do
    try c "$standard" "${CC:-cc}"
done
for standard in c++11 c++14 c++17 c++20; do
    try c++ "$standard" "${CXX:-c++}"
done
[ "$failed" -eq 0 ] && echo "$tried dialects"
exit "$failed"
