#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# ctest-timeout: 30
#
# machnetd takes every example configuration, and the README beside them names each.
set -euo pipefail

tree=$(cd "$(dirname "$0")/../.." && pwd)
export XDG_RUNTIME_DIR=/nonexistent
skipped=0
failed=0
complain() {
    echo "example_configs.sh: $*" >&2
    failed=1
}

for file in "$tree"/examples/config/*.json; do
    name=$(basename "$file")
    grep -q "$name" "$tree/examples/config/README.md" || complain "$name is not in README.md"
    if grep -q '"nic": "dpdk"' "$file" && ! "$MACHNET_BUILD/bin/machnetd" --version | grep -qw dpdk; then
        echo "skipped: $name: machnetd was built without DPDK"
        skipped=$((skipped + 1))
    elif ! "$MACHNET_BUILD/bin/machnetd" --check --config "$file"; then
        complain "$name is refused"
    fi
done
[ "$skipped" -eq 0 ] || [ "$failed" -ne 0 ] || exit 77
exit "$failed"
