#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# ctest-timeout: 600
#
# Builds sdist and wheel, installs the wheel into a virtual environment, checks the types, and runs the tests there.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
MACHNET_TREE=$(cd "$here/../.." && pwd)
export MACHNET_TREE MACHNET_BUILD=${MACHNET_BUILD:-$MACHNET_TREE/build/release} PYTHONDONTWRITEBYTECODE=1
out=$MACHNET_BUILD/bindings/python

status=0
"$here/build.sh" || status=$?
if ((status)); then
    ((status == 77)) && echo "skipped: Python's packages for building are missing"
    exit "$status"
fi
python=$out/venv/bin/python
for module in pytest mypy; do
    if ! "$python" -c "import $module" 2>/dev/null; then
        echo "skipped: python3 has no $module"
        exit 77
    fi
done

# In the folder of the tests' outputs: `machnet` is the installed one.
cd "$out"
"$python" -m mypy --strict --cache-dir "$out/mypy" -p machnet
for program in samples/hello samples/hello_async bench/bench.py; do
    "$python" -m mypy --strict --cache-dir "$out/mypy" --scripts-are-modules "$here/$program"
done

# The extension shows nobody but Python's loader anything of itself.
library=$("$python" -c 'import machnet._native; print(machnet._native.__file__)')
shown=$(nm -D --defined-only "$library" | awk '{ print $3 }' | LC_ALL=C sort | paste -sd' ')
if [[ $shown != "PyInit__native PyInit__sides" ]]; then
    echo "$library exports: $shown" >&2
    exit 1
fi

exec "$python" -X dev -X faulthandler -m pytest -p no:cacheprovider -q "$here/tests" "$@"
