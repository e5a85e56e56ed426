#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a 64-byte message costs in each language above C, in ns: sent and received, over an echo on a channel's rings in the same process.

The languages run in turns, so that a machine that changes its speed changes it for all. `batch`: 32 messages by one call; `single`: one at a
time; `async`: batches in asyncio. A figure is the median over rounds, each the median of its own chunks; C's own cost is in its row.

--remote: round trips through two engines over loopback to bench_server, as they are with the waiting of each language: what waking and the engines
cost is in them. Each language's figures beside C's, without limits.
"""
import argparse
import contextlib
import glob
import json
import os
import signal
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


def measure(language, command, env):
    """One round, or None where the machine has no tools for the language."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env={**os.environ, **env})
    if done.returncode == 77:
        print("%s skipped: %s" % (language, (done.stdout + done.stderr).strip().splitlines()[-1]), file=sys.stderr)
        return None
    if done.returncode != 0:
        sys.exit("%s failed:\n%s%s" % (language, done.stdout, done.stderr))
    return json.loads(done.stdout.strip().splitlines()[-1])


@contextlib.contextmanager
def server():
    """Two engines, and bench_server on the second one: its address, and what finds the first engine."""
    sys.path.insert(0, os.path.join(TREE, "tests", "integration"))
    import harness  # pylint: disable=import-outside-toplevel
    with harness.two_engines() as (near, far):
        process = harness.Process([harness.program("bench_server"), far.address(7000)], env=far.env())
        try:
            harness.wait_until(lambda: process.lines or not process.running(), 10, "bench_server is ready")
            if not process.lines:
                sys.exit("bench_server ended:\n" + "\n".join(process.log))
            yield far.address(7000), near.env()
        finally:
            process.kill()


def measure_all(commands, count, env):
    """What each language said in each round."""
    rounds = {name: [] for name in commands}
    for number in range(count + 1):  # the first one builds, and warms up
        for name in list(rounds):
            result = measure(name, commands[name], env)
            if result is None:
                del rounds[name]
            elif number > 0:
                rounds[name].append(result)
    return rounds


def medians(rounds):
    """Of each language, of each kind that it has."""
    return {name: {kind: statistics.median(one[kind] for one in results) for kind in KINDS if kind in results[0]}
            for name, results in rounds.items()}


def print_costs(found):
    """Above C, over the echo. Says whether all are within their limits."""
    base = {"async_ns": found["c"]["batch_ns"], **found["c"]}
    print("%-8s %18s %18s %18s" % ("", "batch of 32", "one at a time", "async, batch"))
    print("%-8s %11.0f ns     %11.0f ns" % ("c", base["batch_ns"], base["single_ns"]))
    missed = False
    for name in found:
        cells = []
        for kind in KINDS if name != "c" else ():
            if kind not in found[name]:
                cells.append("")
                continue
            above, limit = found[name][kind] - base[kind], LIMITS.get(name, {}).get(kind)
            missed |= limit is not None and above > limit
            cells.append("+%.0f ns (%s)" % (above, "at most %d" % limit if limit is not None else "no limit"))
        if cells:
            print("%-8s %18s %18s %18s" % (name, *cells))
    return not missed


def print_round_trips(found):
    """Through engines, and of C's."""
    base = {"async_ns": found["c"]["batch_ns"], **found["c"]}
    print("%-8s %20s %20s %20s" % ("", "round trip", "batch of 32, each", "async, batch, each"))
    for name, figures in found.items():
        cells = ["%.2f us (%.2f)" % (figures[kind] / 1000, figures[kind] / base[kind]) if kind in figures else ""
                 for kind in ("single_ns", "batch_ns", "async_ns")]
        print(("%-8s %20s %20s %20s" % (name, *cells)).rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", metavar="LANGUAGE", action="append", help="beside C; may be given several times")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a figure is above its limit")
    parser.add_argument("--remote", action="store_true", help="round trips through two engines, in place of the echo")
    options = parser.parse_args()
    build = os.environ.get("MACHNET_BUILD") or os.path.join(TREE, "build", "release")
    commands = {name: command for name, command in programs(build).items()
                if name == "c" or not options.only or name in options.only}

    env = {"MACHNET_BUILD": build}
    if not options.remote:
        within = print_costs(medians(measure_all(commands, options.rounds, env)))
        sys.exit(1 if options.check and not within else 0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # nothing is left running
    with server() as (address, near):
        rounds = measure_all({name: [*command, "--remote", address] for name, command in commands.items()}, options.rounds, {**env, **near})
    print_round_trips(medians(rounds))


main()
