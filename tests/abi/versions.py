# SPDX-License-Identifier: MIT
"""Neighbours: programs, libraries and engines of today and of the next release, in all combinations.

The next release is today's tree with the next minor version of the ABI and with one version more of the control protocol and of the
layout, built here. A program runs with any library of its major version that is not older than itself; library and engine agree on what both have.
"""
import itertools
import os
import re
import subprocess
import sys
import tempfile

import header

sys.path.insert(0, os.path.join(header.ROOT, "tests", "integration"))
import harness  # noqa: E402  pylint: disable=wrong-import-position

HELLO = os.path.join(header.ROOT, "examples", "hello.c")
RECORDED = os.path.join(header.ROOT, "tests", "abi", "recorded")


def number(name, text):
    return int(re.search(r"\b%s = (\w+)," % name, text).group(1), 0)


def next_release(directory):
    """Sources in which each version is one higher, and each oldest version stays."""
    changes = []
    for file, name in (("capi/include/machnet/machnet.h", "MACHNET_ABI_VERSION"), ("capi/channel/control.h", "MN_CONTROL_VERSION"),
                       ("capi/channel/layout.h", "MN_LAYOUT_VERSION")):
        with open(os.path.join(header.ROOT, file), encoding="utf-8") as opened:
            old = re.search(r"\b%s = \w+," % name, opened.read()).group(0)
        changes.append((file, old, "%s = %d," % (name, number(name, old) + 1)))
    return header.changed_tree(directory, *changes)


def build_release(tree):
    """machnetd and libmachnet.so.1 of a tree, in <tree>/build."""
    build = os.path.join(tree, "build")
    header.run("cmake", "-S", tree, "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug", "-DMACHNET_DPDK=OFF", "-DMACHNET_LTO=OFF")
    header.run("cmake", "--build", build, "--target", "machnetd", "machnet")
    return build


def build_program(directory, name, include):
    """hello, as compiled long ago: with that header, and no path to any library."""
    program = os.path.join(directory, name)
    header.run(header.CC, "-std=c11", "-I" + include, HELLO, "-o", program, "-L" + os.path.join(harness.BUILD, "lib"), "-lmachnet")
    return program


def recorded_include(directory):
    """recorded/machnet.h, found as <machnet/machnet.h>."""
    include = os.path.join(directory, "recorded")
    os.mkdir(include)
    os.symlink(RECORDED, os.path.join(include, "machnet"))
    return include


def says_hello(program, library, engine):
    environment = {**engine.env(), "LD_LIBRARY_PATH": library}
    server = harness.Process([program, "listen", engine.address(7000)], env=environment)
    harness.wait_until(lambda: engine.status()["listeners"] != [], 10, "a listener")
    client = harness.Process([program, engine.address(7000)], env=environment)
    assert client.wait() == 0 and client.lines == ["received: hello, too"], (client.lines, client.log)
    assert server.wait() == 0 and server.lines == ["received: hello, world"], (server.lines, server.log)


def is_refused(program, library, engine, built_for, has):
    done = subprocess.run([program, engine.address(7000)], env={**os.environ, **engine.env(), "LD_LIBRARY_PATH": library},
                          capture_output=True, text=True, timeout=30 * harness.SLOW, check=False)
    assert done.returncode == 1, done
    for version in (built_for, has):
        assert "%d.%d" % (version >> 16, version & 0xffff) in done.stderr, done.stderr


def test_neighbours():
    if harness.SANITIZED:
        raise harness.Skip("the next release is built without sanitizers")
    with tempfile.TemporaryDirectory() as scratch:
        build = build_release(next_release(os.path.join(scratch, "next")))
        include = os.path.join(harness.ROOT, "capi", "include")
        abi = number("MACHNET_ABI_VERSION", header.Header(os.path.join(include, "machnet", "machnet.h")).text)
        programs = {"recorded": build_program(scratch, "hello-recorded", recorded_include(scratch)),
                    "today": build_program(scratch, "hello-today", include),
                    "next": build_program(scratch, "hello-next", os.path.join(scratch, "next", "capi", "include"))}
        libraries = {"today": os.path.join(harness.BUILD, "lib"), "next": os.path.join(build, "lib")}
        for which in ("today", "next"):
            machnetd = os.path.join(build if which == "next" else harness.BUILD, "bin", "machnetd")
            with harness.Engine(harness.NET + ".2", binary=machnetd) as engine:
                for program, library in itertools.product(programs, libraries):
                    print("    program %s, library %s, engine %s" % (program, library, which), flush=True)
                    if (program, library) == ("next", "today"):
                        is_refused(programs[program], libraries[library], engine, abi + 1, abi)
                    else:
                        says_hello(programs[program], libraries[library], engine)


harness.main(globals())
