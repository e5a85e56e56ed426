#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Regenerates what is generated from machnet.h: in place, or, with --check, beside it, and fails where a file differs.
set -euo pipefail
shopt -s nullglob

usage() {
    cat <<'END'
Usage: bindings/generate.sh [--check]

Runs bindings/*/generate.sh, which write the files that are made from capi/include/machnet/machnet.h. With --check nothing
is written; what would change is printed and the exit status is 1.
END
}

case ${1:-} in
    '') check=false ;;
    --check) check=true ;;
    -h | --help) usage; exit 0 ;;
    *) echo "generate.sh: unknown option '$1'; see bindings/generate.sh --help" >&2; exit 2 ;;
esac

cd "$(dirname "$0")"
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
for script in */generate.sh; do
    bash "$script" "$made"
done

status=0
while IFS= read -r -d '' file; do
    name=${file#"$made"/}
    if $check; then
        if ! diff -u "$name" "$file"; then
            echo "bindings/$name is not what regenerating gives: run bindings/generate.sh" >&2
            status=1
        fi
    elif ! cmp -s "$name" "$file"; then
        mkdir -p "$(dirname "$name")"
        cp "$file" "$name"
        echo "bindings/$name"
    fi
done < <(find "$made" -type f -print0 | sort -z)
exit "$status"
