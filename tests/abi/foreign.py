# SPDX-License-Identifier: MIT
"""Every function of the recorded table is called through libffi, against a real engine (ffi_calls.c)."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import harness  # noqa: E402  pylint: disable=wrong-import-position


def test_every_function():
    signatures = os.path.join(harness.ROOT, "tests", "abi", "recorded", "signatures.txt")
    library = os.path.join(harness.BUILD, "lib", "libmachnet.so.1")
    with harness.Engine(harness.NET + ".2") as engine:
        done = harness.run_program("abi_ffi_calls", library, signatures, env={**engine.env(), "FFI_CALLS_IP": engine.address(1)})
        assert done.returncode == 0, done.stderr
        with open(signatures, encoding="ascii") as file:
            assert done.stdout == "%d functions called\n" % len(file.readlines()), done.stdout


harness.main(globals())
