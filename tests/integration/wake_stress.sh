#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# ctest-alone
# ctest-labels: tsan
#
# No wake-up is lost in WAKE_STRESS_COUNT (100000) sleeps; and where a part of the protocol is left out, one is. (Leaving out the
# fences is not tried here: whether that is ever seen depends on the processor. tests/promela has it.)
set -uo pipefail

stress=$MACHNET_BUILD/bin/integration_wake_stress
"$stress" --count "${WAKE_STRESS_COUNT:-100000}" --seed "${WAKE_STRESS_SEED:-$RANDOM}" || exit 1

for part in recheck drain notice; do
    for seed in 1 2 3 4 5 6 7 8 none; do
        [ "$seed" != none ] || { echo "wake_stress.sh: nothing was lost without '$part'" >&2; exit 1; }
        "$stress" --break "$part" --seed "$seed" --stall-ms 300 >/dev/null 2>&1 || break
    done
    echo "without $part: a wake-up was lost, as it must be"
done
