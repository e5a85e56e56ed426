# SPDX-License-Identifier: MIT
"""The ABI as it was recorded (tests/abi/recorded) against the one of today: only additions are allowed.

  /usr/bin/python3 tests/abi/recorded.py            compares
  /usr/bin/python3 tests/abi/recorded.py --record   records today's: after an addition, with a new minor version
"""
import os
import shutil
import subprocess
import sys
import tempfile

import header

RECORDED = os.path.join(header.ROOT, "tests", "abi", "recorded")
INCLUDE = os.path.join(header.ROOT, "capi", "include")
HEADER = os.path.join(INCLUDE, "machnet", "machnet.h")
LIBRARY = os.path.join(header.BUILD, "lib", "libmachnet.so.1")


def recorded(name):
    return os.path.join(RECORDED, name)


def read(name):
    with open(recorded(name), encoding="utf-8") as file:
        return file.read()


def describe(library, include, path):
    """What abidw finds of the library's functions, and of the types that the header declares: those of the inside are not ABI."""
    text = header.run("abidw", "--headers-dir", include, "--drop-private-types", "--exported-interfaces-only", "--no-show-locs",
                      "--no-corpus-path", "--no-comp-dir-path", library)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace("path='%s/" % header.ROOT, "path='"))


def record():
    today = header.Header(HEADER)
    for name, text in (("layout.txt", today.layout()), ("signatures.txt", today.signatures())):
        with open(recorded(name), "w", encoding="utf-8") as file:
            file.write(text)
    shutil.copy(HEADER, recorded("machnet.h"))
    describe(LIBRARY, INCLUDE, recorded("machnet.abi"))


def lost_lines(name, today, allowed=lambda line: False):
    """Lines of the record that today's text lacks: it may have more, in any place, but those that were there stay."""
    now = set(today.splitlines())
    return [line for line in read(name).splitlines() if line not in now and not allowed(line)]


def abidiff(library, include=INCLUDE):
    """What abidiff finds beyond additions, or nothing."""
    with tempfile.NamedTemporaryFile(suffix=".abi") as today:
        describe(library, include, today.name)
        done = subprocess.run(["abidiff", "--no-added-syms", recorded("machnet.abi"), today.name], capture_output=True, text=True,
                              check=False)
    return done.stdout + done.stderr if done.returncode != 0 else ""


def compare():
    today = header.Header(HEADER)
    for name, text, allowed in (("layout.txt", today.layout(), lambda line: line.startswith("MACHNET_ABI_VERSION =")),
                                ("signatures.txt", today.signatures(), lambda line: False)):
        lost = lost_lines(name, text, allowed)
        assert not lost, "recorded/%s has what today's ABI has not:\n  %s" % (name, "\n  ".join(lost))
        if text != read(name):
            print("%s: the ABI has grown; record it with its new minor version (--record)" % name)
    found = abidiff(LIBRARY)
    assert not found, found


def catches_changes():
    """A comparison that found nothing wrong in a broken library would be worth nothing."""
    with tempfile.TemporaryDirectory() as scratch:
        for what, changes in {
                "a parameter": [("capi/include/machnet/machnet.h", "uint64_t buffer, uint64_t length, uint64_t tag, uint32_t flags);",
                                 "uint64_t buffer, uint64_t length, uint32_t tag, uint32_t flags);"),
                                ("capi/client/send.c", "uint64_t buffer, uint64_t length, uint64_t tag, uint32_t flags)",
                                 "uint64_t buffer, uint64_t length, uint32_t tag, uint32_t flags)")],
                "a struct": [("capi/include/machnet/machnet.h", "    uint64_t messages_queued;   /*", "    uint32_t messages_queued, more;   /*")],
                "a function": [("capi/machnet.map", "    machnet_*;", "    machnet_c*; machnet_[abd-z]*[a-su-z];")],
        }.items():
            tree = header.changed_tree(os.path.join(scratch, what.replace(" ", "-")), *changes)
            library = header.build_library(tree, tree)
            assert abidiff(library, os.path.join(tree, "capi", "include")), "abidiff does not see that %s has changed" % what


def main():
    if sys.argv[1:] == ["--record"]:
        record()
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        compare()
        catches_changes()
        print("as recorded, but for additions; changes of a parameter, a struct and a function are seen")


if os.environ.get("MACHNET_SANITIZE"):
    print("skipped: sanitizers change the library's debugging information")
    sys.exit(77)
main()
