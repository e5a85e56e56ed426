# SPDX-License-Identifier: MIT
"""Wrong uses are answered with what to do next."""
import subprocess
import sys

import machnet
import pytest
from machnet import errors

CONTEXT = [
    (lambda: machnet.Context(socket_path="/nowhere/machnet.sock"), errors.NoEngineError, "Start machnetd, or set MACHNET_SOCKET"),
    (lambda: machnet.Context("/nowhere/machnet.sock"), TypeError, "socket_path="),
    (lambda: machnet.Context(socket_path=5), ValueError, r"Options\.socket_path cannot be 5: see help"),
]
OPTIONS = [
    (dict(name=5), ValueError, r"Options\.name cannot be 5: see help"),
    (dict(poll="sleep"), ValueError, r"Options\.poll cannot be 'sleep'"),
    (dict(send_bytes=-1), ValueError, r"Options\.send_bytes cannot be -1"),
    (dict(spin_ns=1.5), TypeError, r"Options\.spin_ns cannot be 1\.5"),
    (dict(more={9999: 1}), errors.NotSupportedError, r"more\[9999\]: leave it out"),
    (dict(socket_path="/x"), errors.NotSupportedError, "Leave it out"),
]


@pytest.mark.parametrize("call, kind, words", CONTEXT)
def test_contexts(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


def test_paths_are_taken(engines, tmp_path):
    link = tmp_path / "machnet.sock"
    link.symlink_to(engines[0].socket)
    machnet.Context(socket_path=link).close()


@pytest.mark.parametrize("wrong, kind, words", OPTIONS)
def test_options(contexts, wrong, kind, words):
    with pytest.raises(kind, match=words):
        contexts[0].open_channel(machnet.Options(**wrong))
    with pytest.raises(TypeError, match=r"machnet\.Options\(\.\.\.\)"):
        contexts[0].open_channel("name")


def test_addresses(channels, where):
    for wrong in ("", "10.0.0.2", "host:1", "10.0.0.2:70000"):
        with pytest.raises(ValueError, match='is no address: write it as "10.0.0.2:7000"'):
            channels[0].open_flow(wrong)
    with pytest.raises(TypeError, match='"10.0.0.2:7000", or an Address, not tuple'):
        channels[0].open_flow(("10.0.0.2", 7000))
    with pytest.raises(ValueError, match="a port is 0 to 65535"):
        channels[0].open_flow(machnet.Address("10.0.0.2", 70000))
    with pytest.raises(errors.FlowRefusedError, match="start the program that listens first"):
        channels[0].open_flow(where)


def test_messages(flows):
    flow = flows[0]
    wrong = [
        (lambda: flow.send(b"", -1), OverflowError, "tag must be an int from 0"),
        (lambda: flow.send(b"", 1.0), TypeError, "tag must be an int from 0"),
        (lambda: flow.reserve(-1), OverflowError, "length must be an int from 0"),
        (lambda: flow.receive(limit="x"), TypeError, "limit must be an int from 0"),
        (lambda: flow.send_many(data for data in [b"x"]), TypeError, "a sequence, such as a list"),
        (lambda: flow.reserve(10).commit(11), ValueError, "Cannot commit 11 bytes: 10 were reserved"),
        (lambda: flow.channel.wait(0), ValueError, "see the documentation"),
    ]
    for call, kind, words in wrong:
        with pytest.raises(kind, match=words):
            call()
    flow.close()
    with pytest.raises(errors.StaleError, match="open another one"):
        flow.send(b"")


def test_other_interpreters_are_refused():
    interpreters = pytest.importorskip("_xxsubinterpreters")
    program = """
import %s as interpreters, sys
if sys.argv[1] == "both":
    import machnet
code = "try:\\n    import machnet\\n    print('imported')\\nexcept ImportError as problem:\\n    print(problem)"
interpreters.run_string(interpreters.create(), code)
""" % interpreters.__name__
    for way in ("both", "other"):
        result = subprocess.run([sys.executable, "-c", program, way], capture_output=True, text=True, timeout=60)
        assert "main interpreter" in result.stdout, result
