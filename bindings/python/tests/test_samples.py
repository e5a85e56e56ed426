# SPDX-License-Identifier: MIT
"""The samples do what they say, and each talks to each."""
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import harness

PYTHON = Path(os.environ["MACHNET_TREE"]) / "bindings" / "python"


def start(name, engine, *arguments):
    return subprocess.Popen([sys.executable, str(PYTHON / "samples" / name), *arguments], env=dict(os.environ, **engine.env()),
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("asker", ["hello", "hello_async"])
@pytest.mark.parametrize("server", ["hello", "hello_async"])
def test_hello(engines, where, server, asker):
    listening = start(server, engines[1], "listen", where)
    try:
        end = time.monotonic() + 20
        while True:  # until it listens
            asking = start(asker, engines[0], where)
            out, problems = asking.communicate(timeout=20)
            if asking.returncode == 0 or "MACHNET_EREFUSED" not in problems or time.monotonic() > end:
                break
        assert (out, problems, asking.returncode) == ("received: hello, too\n", "", 0)
        if server == "hello":
            assert listening.communicate(timeout=10) == ("received: hello, world\n", "") and listening.returncode == 0
        else:
            assert listening.stdout.readline() == "received: hello, world\n"
    finally:
        listening.kill()
        listening.communicate()


def test_hello_says_what_is_wrong(engines):
    for arguments, pattern in (([], "usage: hello"), (["x"], "hello: "), ([engines[1].address(1)], "hello: .*EREFUSED")):
        hello = start("hello", engines[0], *arguments)
        out, problems = hello.communicate(timeout=20)
        assert hello.returncode == 1 and out == "" and re.search(pattern, problems) and "Traceback" not in problems, problems


def test_the_readmes_programs(engines, where):
    """Python blocks of the README run as they stand, but for their addresses, in one program."""
    text = (PYTHON / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    assert len(blocks) >= 3
    code = "\n".join(blocks).replace("10.0.0.2:7000", where)
    serve = start("hello_async", engines[1], "listen", where)
    try:
        harness.wait_until(lambda: any(where in str(one) for one in engines[1].status()["listeners"]) or serve.poll(), 10, "listener")
        result = subprocess.run([sys.executable, "-c", code], env=dict(os.environ, **engines[0].env()), capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, result.stderr
        assert "hello, too" in result.stdout
    finally:
        serve.kill()
        serve.communicate()
