#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Installs what is missing, builds, runs every test. The last line is "N passed, N failed, N skipped".
set -uo pipefail

usage() {
    cat <<'END'
Usage: tests/run.sh [OPTION]...

Installs the packages that are missing (Debian), builds each preset into build/<preset>, and runs its tests.
The presets are release, asan, tsan (unit tests and those labelled tsan) and fuzz (libFuzzer); see
.cmake/presets.json. Exits 0 only if tests ran and none failed.

  --quick          the release preset only
  --preset NAME    this preset only; may be given several times
  --filter REGEX   only tests whose names match
  --no-install     do not look for missing packages
  --help           this text
END
}

presets=()
filter=()
install=true
while [ $# -gt 0 ]; do
    case $1 in
        --quick) presets+=(release) ;;
        --preset | --filter)
            [ $# -ge 2 ] || { echo "run.sh: $1 needs a value" >&2; exit 2; }
            if [ "$1" = --preset ]; then presets+=("$2"); else filter=(-R "$2"); fi
            shift ;;
        --no-install) install=false ;;
        -h | --help) usage; exit 0 ;;
        *) echo "run.sh: unknown option '$1'; see tests/run.sh --help" >&2; exit 2 ;;
    esac
    shift
done
[ ${#presets[@]} -gt 0 ] || presets=(release asan tsan fuzz)

cd "$(dirname "$0")/.." || exit 1
known=$(sed -n 's/^ *"name": "\([a-z]*\)",$/\1/p' .cmake/presets.json | grep -vx base | awk '!seen[$0]++' | paste -sd ' ')
for preset in "${presets[@]}"; do
    case " $known " in
        *" $preset "*) ;;
        *) echo "run.sh: no preset '$preset'; there are: $known" >&2; exit 2 ;;
    esac
done

passed=0
failed=0
skipped=0
complaints=()
skips=()

finish() {
    echo
    [ ${#skips[@]} -eq 0 ] || printf 'skipped: %s\n' "${skips[@]}"
    [ ${#complaints[@]} -eq 0 ] || printf 'FAILED: %s\n' "${complaints[@]}"
    [ $((passed + failed)) -gt 0 ] || echo "FAILED: no test ran"
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
    exit
}

complain() {
    complaints+=("$1")
    failed=$((failed + 1))
}

# Prints "status<tab>name<tab>why it was skipped" for each test of a JUnit file.
list_results() {
    awk -v OFS='\t' '
        function done() { if (name != "") print status, name, reason; name = "" }
        match($0, /<testcase name="[^"]*"/) {
            done()
            name = substr($0, RSTART + 16, RLENGTH - 17)
            match($0, / status="[a-z]*"/)
            status = substr($0, RSTART + 9, RLENGTH - 10)
            reason = ""
        }
        name != "" && reason == "" && sub(/.*skipped: /, "") { sub(/<.*/, ""); reason = $0 }
        END { done() }' "$1"
}

# Adds one preset's results, read from ctest's JUnit file.
count_results() {
    local preset=$1 results=$2 status name reason listed=0 counted=0
    while IFS=$'\t' read -r status name reason; do
        counted=$((counted + 1))
        case $status in
            run) passed=$((passed + 1)) ;;
            notrun | disabled) skipped=$((skipped + 1)); skips+=("$preset $name${reason:+: $reason}") ;;
            *) complain "$preset $name"; listed=$((listed + 1)) ;;
        esac
    done < <(list_results "$results")
    # A filter may leave a preset without tests; nothing else may.
    if [ "$counted" -eq 0 ] && [ ${#filter[@]} -eq 0 ]; then
        complain "$preset: no tests; if build/$preset was configured for something else, remove it"
        listed=1
    fi
    return "$((listed > 0))"
}

run_preset() {
    local preset=$1 results=$PWD/build/$1/results.xml start=$SECONDS ctest_status counted
    echo
    echo "== $preset: build in build/$preset"
    if ! cmake --preset "$preset" >"build/$preset.configure.log" 2>&1; then
        cat "build/$preset.configure.log"
        complain "$preset: cmake"
        return
    fi
    if ! cmake --build --preset "$preset" -- --quiet -k 0; then
        complain "$preset: build"
        return
    fi
    echo "== $preset: tests (built in $((SECONDS - start)) s)"
    rm -f "$results"
    ctest --preset "$preset" --parallel "$(nproc)" --output-junit "$results" "${filter[@]}"
    ctest_status=$?
    if [ ! -s "$results" ]; then
        complain "$preset: ctest left no results"
        return
    fi
    count_results "$preset" "$results"
    counted=$?
    [ "$ctest_status" -eq 0 ] || [ "$counted" -ne 0 ] || complain "$preset: ctest ended with status $ctest_status"
    echo "== $preset: done in $((SECONDS - start)) s"
}

if $install && ! tests/install-packages.sh test; then
    complain "packages are missing"
    finish
fi
mkdir -p build
ln -sfn .cmake/presets.json CMakeUserPresets.json
for preset in "${presets[@]}"; do
    run_preset "$preset"
done
finish
