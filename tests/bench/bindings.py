#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a 64-byte message costs in each language above C, in ns: sent and received, over an echo on a channel's rings in the same process.

The languages run in turns, so that a machine that changes its speed changes it for all. `batch`: 32 messages by one call; `single`: one at a
time; `async`: batches in asyncio. A figure is the median over rounds, each the median of its own chunks; C's own cost is in its row.
"""
import argparse
import glob
import json
import os
import statistics
import subprocess
import sys

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIMITS = {  # ns above C
    "rust": {"batch_ns": 5, "single_ns": 10},
    "go": {"batch_ns": 15, "single_ns": 250},
    "csharp": {"batch_ns": 20, "single_ns": 100},
    "python": {"batch_ns": 150, "single_ns": 450, "async_ns": 450},
}
KINDS = ("batch_ns", "single_ns", "async_ns")


def programs(build):
    """The command of each language; C's is the baseline."""
    found = {"c": [os.path.join(build, "bin", "bench_baseline")]}
    for script in sorted(glob.glob(os.path.join(TREE, "bindings", "*", "bench.sh"))):
        found[os.path.basename(os.path.dirname(script))] = ["bash", script]
    return found


def measure(language, command, build):
    """One round, or None where the machine has no tools for the language."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env={**os.environ, "MACHNET_BUILD": build})
    if done.returncode == 77:
        print("%s skipped: %s" % (language, (done.stdout + done.stderr).strip().splitlines()[-1]), file=sys.stderr)
        return None
    if done.returncode != 0:
        sys.exit("%s failed:\n%s%s" % (language, done.stdout, done.stderr))
    return json.loads(done.stdout.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", metavar="LANGUAGE", action="append", help="beside C; may be given several times")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a figure is above its limit")
    options = parser.parse_args()
    build = os.environ.get("MACHNET_BUILD") or os.path.join(TREE, "build", "release")
    commands = {name: command for name, command in programs(build).items()
                if name == "c" or not options.only or name in options.only}

    rounds = {name: [] for name in commands}
    for number in range(options.rounds + 1):  # the first one builds, and warms up
        for name in list(commands):
            result = measure(name, commands[name], build)
            if result is None:
                del commands[name]
            elif number > 0:
                rounds[name].append(result)
    base = {kind: statistics.median(one[kind] for one in rounds["c"]) for kind in ("batch_ns", "single_ns")}
    base["async_ns"] = base["batch_ns"]
    print("%-8s %18s %18s %18s" % ("", "batch of 32", "one at a time", "async, batch"))
    print("%-8s %11.0f ns     %11.0f ns" % ("c", base["batch_ns"], base["single_ns"]))
    missed = False
    for name in commands:
        cells = []
        for kind in KINDS if name != "c" else ():
            values = [one[kind] for one in rounds[name] if kind in one]
            if not values:
                cells.append("")
                continue
            above, limit = statistics.median(values) - base[kind], LIMITS.get(name, {}).get(kind)
            missed |= limit is not None and above > limit
            cells.append("+%.0f ns (%s)" % (above, "at most %d" % limit if limit is not None else "no limit"))
        if cells:
            print("%-8s %18s %18s %18s" % (name, *cells))
    sys.exit(1 if options.check and missed else 0)


main()
