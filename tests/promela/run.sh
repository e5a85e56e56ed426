#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Searches every state of wake.pml and room.pml, for each way of waiting; then leaves out one part of the protocol after the other and expects
# spin to find a lost wake-up each time. Fails also when a search was cut short.
#   run.sh            well under a minute
#   run.sh --all      each broken variant in each way of waiting, and room.pml with one request more: a few minutes
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
command -v spin >/dev/null || { echo "run.sh: spin is not installed" >&2; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0

# search <flags of the compiler> <option>...: every state of $here/$model; sets `result` to sound, lost (a wake-up) or cut-short
search() {
    if ! { spin -a "${@:2}" "$here/$model" && ${CC:-gcc} $1 -w -DSAFETY -DMEMLIM=4096 -o pan pan.c; } >log 2>&1; then
        cat log
        exit 1
    fi
    ./pan -n -m10000 >log 2>&1
    local status=$?
    if grep -q '^pan:.*invalid end state' log && grep -q 'errors: 1$' log; then
        result=lost
    elif [ "$status" -eq 0 ] && grep -q 'errors: 0$' log && ! grep -qE 'max search depth|out of memory|not completed|BITSTATE|Hash Compact' log; then
        result=sound
    else
        result=cut-short
        cat log
    fi
}

# expect <result> <mode> [<part left out>]
# A lost wake-up is looked for from the last transition to the first, which finds those of room.pml in a ninth of the states; such a search is over
# before it would pay to compile it to be fast.
expect() {
    local flags=-O1
    [ "$1" = sound ] || flags="-O0 -DT_REVERSE"
    search "$flags" -DMODE="$2" ${3:+-DBROKEN_$3} ${requests:-}
    local states
    states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' log)
    printf '%-8s %-6s %-18s %-5s %9s states\n' "$model" "$2" "${3:-}" "$result" "$states"
    [ "$result" = "$1" ] || { echo "run.sh: expected $1" >&2; failed=1; }
}

model=wake.pml
every="FENCE_SUBMIT FENCE_DELIVER FENCE_RELEASE FENCE_ENGINE FENCE_CLIENT RECHECK_ENGINE RECHECK_CLIENT RELEASES CLEAR_LATE DRAIN"
for mode in WAIT LEVEL EDGE; do
    expect sound $mode
done
if [ "${1:-}" = --all ]; then
    for part in $every; do
        for mode in WAIT LEVEL EDGE; do
            expect lost $mode "$part"
        done
    done
    expect lost EDGE NOTICE
else
    for part in $every; do
        expect lost WAIT "$part"
    done
fi
# The descriptor has two rules more. (Who reads until EAGAIN after each edge does not depend on the second.)
expect lost LEVEL NOTICE
expect lost LEVEL QUIET

model=room.pml
every="FENCE_WAITER FENCE_WISH FENCE_ACCEPT FENCE_ENGINE FENCE_CLIENT FENCE_TAKE RECHECK_SENDER RECHECK_ENGINE RECHECK_CLIENT
    SIGNAL_SUBMISSIONS SIGNAL_DELIVERIES"
for mode in WAIT LEVEL; do
    expect sound $mode
done
for part in $every; do
    expect lost WAIT "$part"
done
if [ "${1:-}" = --all ]; then
    requests=-DN=3
    for mode in WAIT LEVEL; do
        expect sound $mode
    done
    for part in $every; do
        expect lost LEVEL "$part"
    done
fi
exit $failed
