#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Builds the wheel from the sdist, outside of the source tree, and installs it into a virtual environment.
set -euo pipefail

usage() {
    cat <<'END'
Usage: bindings/python/build.sh

Builds in $MACHNET_BUILD/bindings/python (default: build/release of this tree), if the sources are newer than what is there:
  dist/   the sdist, and the wheel that was built from it
  venv/   a virtual environment that has the wheel, and Debian's packages
Exits 77 after a line `skipped: <why>` where Python's packages are missing.
END
}

case ${1:-} in
    '') ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
esac

root=$(cd "$(dirname "$0")/../.." && pwd)
build=${MACHNET_BUILD:-$root/build/release}/bindings/python

# The first Python that has what is needed: Debian's packages are those of /usr/bin/python3.
find_python() {
    local python
    for python in python3 /usr/bin/python3; do
        if "$python" -c 'import cffi, setuptools, wheel, pip, venv, ensurepip' 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    echo "skipped: python3 with cffi, setuptools, wheel, pip and venv is not installed" >&2
    exit 77
}

# What an sdist is made from, as a list of paths below the root.
sources() {
    cd "$root"
    find LICENSE CMakeLists.txt pyproject.toml capi/include capi/client capi/channel bindings/python \
        \( -name __pycache__ -o -name '*.egg-info' \) -prune -o -type f -print | LC_ALL=C sort
}

python=$(find_python)
mkdir -p "$build"
exec 9>"$build/lock" # several agents may build at the same time
flock 9
if [[ -e $build/built && -z $(cd "$root" && sources | xargs -d '\n' -I{} find {} -newer "$build/built" -print -quit) ]]; then
    exit 0
fi
rm -rf "$build"/{source,dist,venv,built}
mkdir -p "$build/source" "$build/dist"
touch "$build/copied" # what changes from here on is newer
(cd "$root" && sources | tar -c -T - -f -) | tar -x -C "$build/source"
unset SOURCE_DATE_EPOCH
(cd "$build/source" && "$python" -c "
import sys
sys.path.insert(0, 'bindings/python')
import build_backend
print(build_backend.build_sdist('$build/dist'))") >"$build/sdist.log" 2>&1 || { cat "$build/sdist.log" >&2; exit 1; }
"$python" -m venv --system-site-packages "$build/venv"
"$build/venv/bin/python" -m pip wheel --quiet --no-build-isolation --no-deps --no-index --disable-pip-version-check \
    --wheel-dir "$build/dist" "$build"/dist/machnet-*.tar.gz
"$build/venv/bin/python" -m pip install --quiet --no-index --disable-pip-version-check "$build"/dist/machnet-*.whl
mv "$build/copied" "$build/built"
