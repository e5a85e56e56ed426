# SPDX-License-Identifier: MIT
"""The page that shows language by case."""
from cases import ROLES
from session import END


def cell(results):
    """One cell: all results of a case in which a language took part."""
    words = [word for word, _ in results]
    if not words:
        return "–"
    if "FAIL" in words:
        return "**FAIL** %d of %d" % (words.count("FAIL"), len(words))
    if words.count("ok") == len(words):
        return "ok" if len(words) == 1 else "ok, %d pairs" % len(words)
    return words[0] if "ok" not in words else "ok, %d pairs; n/a, %d" % (words.count("ok"), len(words) - words.count("ok"))


def table(kind, cases, languages, sessions, notes):
    """`sessions` is a list of (kind, languages, results)."""
    lines = ["| case | %s | |" % " | ".join(languages), "|---|%s---|" % ("---|" * len(languages))]
    shown = [(case.id, case.title) for case in cases if case.kind == kind]
    shown.append((END, "nothing borrowed, no more descriptors than at the start, memory bounded, no channel left"))
    for name, title in shown:
        cells = []
        for language in languages:
            found = []
            for session_kind, pair, results in sessions:
                part = session_kind == kind and (language in pair if kind == "pair" else language == pair[0])
                found += [(word, why, pair) for case, word, why, _ in results if part and case == name]
            reasons = sorted({why for word, why, _ in found if word in ("n/a", "skipped")})
            mark = "".join(" [%d]" % notes.setdefault(reason, len(notes) + 1) for reason in reasons)
            cells.append(cell([(word, why) for word, why, _ in found]) + mark)
        lines.append("| %s | %s | %s |" % (name, " | ".join(cells), title))
    return lines


def matrix(languages, sessions):
    lines = ["| client ↓ server → | %s |" % " | ".join(languages), "|---|%s" % ("---|" * len(languages))]
    for client in languages:
        cells = []
        for server in languages:
            results = [word for kind, pair, found in sessions if kind == "pair" and pair == (client, server)
                       for _, word, *_ in found]
            cells.append("%d of %d" % (sum(word != "FAIL" for word in results), len(results)) if results else "–")
        lines.append("| %s | %s |" % (client, " | ".join(cells)))
    return lines


def write(path, cases, languages, skipped, sessions):
    notes = {}
    lines = ["# Conformance", ""]
    lines += ["skipped: %s: %s" % one for one in skipped.items()]
    lines += ["", "## Every ordered pair of languages", "", *matrix(languages, sessions), ""]
    lines += ["A cell of the following table counts the pairs with this language at either end.", ""]
    lines += [*table("pair", cases, languages, sessions, notes), "", "## Each language alone", ""]
    lines += ["`%s` under test, with the agent in C as its `%s`." % ROLES["alone"], ""]
    lines += table("alone", cases, languages, sessions, notes)
    if notes:
        lines += ["", "n/a or skipped:", ""] + ["%d. %s" % (number, reason) for reason, number in notes.items()]
    failures = [(kind, pair, name, why) for kind, pair, results in sessions for name, word, why, _ in results
                if word == "FAIL"]
    if failures:
        lines += ["", "## Failures", ""]
        lines += ["- %s `%s`: %s" % (" to ".join(pair) if kind == "pair" else "".join(pair[:1]), name, why.replace("\n", " "))
                  for kind, pair, name, why in failures]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
