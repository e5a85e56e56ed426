#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# ctest-timeout: 60
#
# The unit as systemd reads it: no warnings, alone and with the drop-in for DPDK; and what it asserts of privileges.
set -euo pipefail

command -v systemd-analyze >/dev/null || { echo "skipped: no systemd-analyze"; exit 77; }
[ -e "$MACHNET_BUILD/machnetd.service" ] || { echo "systemd.sh: no machnetd.service in $MACHNET_BUILD" >&2; exit 1; }
tree=$(cd "$(dirname "$0")/../.." && pwd)
directory=$(mktemp -d -t machnet-systemd.XXXXXX)
trap 'rm -rf "$directory"' EXIT

# The program is not installed, and systemd wants it to be there; nor is the man page.
sed -e "s|^ExecStart=[^ ]*|ExecStart=$MACHNET_BUILD/bin/machnetd|" -e '/^Documentation=/d' "$MACHNET_BUILD/machnetd.service" >"$directory/machnetd.service"

verify() {
    local said
    said=$(SYSTEMD_LOG_LEVEL=warning systemd-analyze verify "$directory/machnetd.service" 2>&1) || { echo "$said" >&2; return 1; }
    said=$(grep -i "machnet" <<<"$said" || true)
    [ -z "$said" ] || { echo "$said" >&2; return 1; }
}

# exposure LIMIT: systemd's own measure, from 0 (nothing) to 10 (everything).
exposure() {
    systemd-analyze security --no-pager --offline=true --threshold="$1" "$directory/machnetd.service" >"$directory/report" 2>&1 ||
        { grep -v '✓' "$directory/report" >&2; return 1; }
    tail -1 "$directory/report"
}

verify
exposure 20

mkdir "$directory/machnetd.service.d"
cp "$tree/examples/config/dpdk.conf" "$directory/machnetd.service.d/"
verify
sed -i -E 's/^#([A-Za-z]+=)/\1/' "$directory/machnetd.service.d/dpdk.conf" # all that it offers
verify

sed -i 's/^\[Install\]/NoSuchSetting=1\n&/' "$directory/machnetd.service"
! verify 2>/dev/null || { echo "systemd.sh: a wrong setting was not seen" >&2; exit 1; }
