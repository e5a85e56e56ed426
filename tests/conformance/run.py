#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# ctest-timeout: 600
"""Every language against every other: builds the agents, plays the cases on real engines, writes the page. See README.md."""
import argparse
import concurrent.futures
import os
import queue
import signal
import sys
import time

if sys.version_info < (3, 11):
    print("skipped: cases.toml is read by Python's tomllib: Python 3.11")
    sys.exit(77)

import agent
import cases
import page
import session
from session import harness

EXPECTED = ["c", "python", "go", "rust", "csharp"]  # further ones are found beside them
REFERENCE = "c"
os.environ["MACHNET_BUILD"] = harness.BUILD


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--language", default="", metavar="L[,L...]", help="only these, and the reference where it is needed")
    parser.add_argument("--agents", action="append", default=[], metavar="DIRECTORY", help="look for agents there, too")
    parser.add_argument("--case", default="", metavar="WORD", help="only cases with this in their name")
    parser.add_argument("--alone", action="store_true", help="only what a language does alone")
    parser.add_argument("--pairs", action="store_true", help="only pairs")
    parser.add_argument("--trace", action="store_true", help="print requests and answers")
    parser.add_argument("--times", action="store_true", help="print what took longest")
    parser.add_argument("--lanes", type=int, default=min(4, os.cpu_count() or 1), help="sessions at once (default: %(default)s)")
    return parser.parse_args()


def find_languages(wanted):
    found = agent.find()
    languages = [name for name in EXPECTED if name in found] + [name for name in found if name not in EXPECTED]
    skipped = {name: "there is no agent" for name in EXPECTED if name not in found}
    if wanted:
        languages = [name for name in languages if name in wanted]
        skipped = {name: why for name, why in skipped.items() if name in wanted}
    return languages, skipped


def build_all(languages, skipped):
    """Returns those that can run, and what is broken."""
    broken = []
    needed = sorted({*languages, REFERENCE})
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for name, future in [(name, pool.submit(agent.build, name)) for name in needed]:
            try:
                why = future.result()
            except agent.Broken as problem:
                broken.append(name)
                print(problem)
                continue
            if why and name in languages:
                skipped[name] = why
    return [name for name in languages if name not in skipped and name not in broken], broken


def plan(languages, options):
    """All sessions, those that take longest first."""
    alone = [("alone", (name, REFERENCE)) for name in languages] if not options.pairs else []
    pairs = [("pair", (one, other)) for one in languages for other in languages] if not options.alone else []
    return alone + pairs


def report(kind, languages, results):
    label = "%s to %s" % languages if kind == "pair" else languages[0] + " alone"
    words = [word for _, word, *_ in results]
    lines = ["%-20s %d ok, %d n/a, %d skipped, %d failed (%.1f s)" % (
        label, words.count("ok"), words.count("n/a"), words.count("skipped"), words.count("FAIL"), sum(result[3] for result in results))]
    lines += ["    FAILED %s: %s" % (name, why) for name, word, why, _ in results if word == "FAIL"]
    print("\n".join(lines), flush=True)


def work(number, todo, chosen, finished, options):
    """One lane: takes sessions until there are none."""
    lane = session.Lane(number)
    try:
        while True:
            try:
                kind, languages = todo.get_nowait()
            except queue.Empty:
                break
            one = session.Session(lane, kind, languages, options.trace)
            one.run(chosen)
            report(kind, languages, one.results)
            finished.append((kind, languages, one.results))
        problem = lane.stop()
        if problem:
            finished.append(("engines", (), [(session.END, "FAIL", problem, 0)]))
            print(problem)
    finally:
        lane.clean_up()


def run_lanes(sessions, chosen, options):
    todo, finished = queue.Queue(), []
    for one in sessions:
        todo.put(one)
    count = max(1, min(options.lanes, len(sessions)))
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        for future in [pool.submit(work, number, todo, chosen, finished, options) for number in range(count)]:
            future.result()
    return finished


def print_times(finished):
    times = sorted(((seconds, name, languages) for _, languages, results in finished for name, _, _, seconds in results), reverse=True)
    for seconds, name, languages in times[:25]:
        print("%6.2f s  %s %s" % (seconds, name, languages))


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    options = parse()
    start = time.monotonic()
    agent.DIRECTORIES.extend(map(os.path.abspath, options.agents))
    chosen = cases.load(options.case)
    languages, skipped = find_languages([name for name in options.language.split(",") if name])
    languages, broken = build_all(languages, skipped)
    built = time.monotonic()
    for name, why in skipped.items():
        print("skipped: %s: %s" % (name, why), flush=True)
    finished = run_lanes(plan(languages, options), chosen, options)
    path = os.path.join(harness.BUILD, "conformance", "conformance.md")
    page.write(path, chosen, languages, skipped, finished)
    if options.times:
        print_times(finished)
    words = [word for _, _, results in finished for _, word, *_ in results]
    print("%d cases in %d sessions of %s: %d ok, %d n/a, %d skipped, %d failed (%.0f s, after %.0f s of building); see %s" % (
        len(chosen), len(finished), ", ".join(languages), words.count("ok"), words.count("n/a"), words.count("skipped"),
        words.count("FAIL"), time.monotonic() - built, built - start, path))
    sys.exit(1 if broken or "FAIL" in words or not languages else 0)


if __name__ == "__main__":
    main()
