#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The one list of the Debian packages that Machnet needs, and what installs them.
set -euo pipefail

usage() {
    cat <<'END'
Usage: install-packages.sh [--list] GROUP...

Installs the Debian packages of each GROUP that are missing; says nothing when there are none.
Needs root or sudo only if something is missing.

  build   what the programs and the library are compiled with
  dpdk    build, DPDK for --nic dpdk (about 200 packages, 100 MB), and ip for the quickstart's namespaces
  test    dpdk, and what tests/run.sh uses

  --list  print the packages, one a line, and install nothing
END
}

build_packages=(gcc libc6-dev binutils cmake ninja-build pkg-config
    libevent-dev libjansson-dev libxxhash-dev uthash-dev)
dpdk_packages=("${build_packages[@]}" libdpdk-dev iproute2)
# What bindings/ are generated, built and tested with. Debian has no .NET SDK: tests of C# are skipped where there is none.
bindings_packages=(python3 python3-dev python3-cffi python3-setuptools python3-wheel python3-pip python3-venv python3-pytest mypy
    golang-go rustc cargo bindgen rustfmt rust-clippy swig libffi-dev abigail-tools)
test_packages=("${dpdk_packages[@]}" libcriterion-dev clang g++ spin mandoc socat procps
    "${bindings_packages[@]}")

# clang's sanitizers and libFuzzer are in a package named after clang's version.
clang_runtime() {
    local codename
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    case $codename in
        bookworm) echo libclang-rt-14-dev ;;
        trixie) echo libclang-rt-19-dev ;;
        *) echo "install-packages.sh: no package of clang's sanitizers known for '$codename';" \
                "tests with clang's sanitizers may not build" >&2 ;;
    esac
}

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

list_only=false
packages=()
for argument in "$@"; do
    case $argument in
        --list) list_only=true ;;
        build) packages+=("${build_packages[@]}") ;;
        dpdk) packages+=("${dpdk_packages[@]}") ;;
        test)
            mapfile -t runtime < <(clang_runtime)
            packages+=("${test_packages[@]}" "${runtime[@]}") ;;
        -h | --help) usage; exit 0 ;;
        *) echo "install-packages.sh: unknown group '$argument'; there are build, dpdk and test" >&2; exit 2 ;;
    esac
done
if [ ${#packages[@]} -eq 0 ]; then
    usage >&2
    exit 2
fi

if $list_only; then
    printf '%s\n' "${packages[@]}" | sort -u
    exit 0
fi

missing=()
for package in $(printf '%s\n' "${packages[@]}" | sort -u); do
    is_installed "$package" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "Packages are missing, and installing them needs root. Run as root:" >&2
        echo "  apt-get update && apt-get install --no-install-recommends ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi

echo "Installing: ${missing[*]}"
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq update
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "${missing[@]}"
