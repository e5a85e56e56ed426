#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Writes what is generated from machnet.h into a directory: cffi's declarations, and the enums.
set -euo pipefail

usage() {
    cat <<'END'
Usage: bindings/python/generate.sh DIRECTORY

Writes DIRECTORY/python/machnet.cdef.h and DIRECTORY/python/machnet/_constants.py from capi/include/machnet/machnet.h.
END
}

case ${1:-} in
    -h | --help) usage; exit 0 ;;
    '') usage >&2; exit 2 ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1/python/machnet"
exec python3 "$here/generate.py" "$here/../../capi/include/machnet/machnet.h" "$1/python"
