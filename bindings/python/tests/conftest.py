# SPDX-License-Identifier: MIT
"""Real engines for the tests, by the harness of the integration tests."""
import gc
import itertools
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(os.environ["MACHNET_TREE"]) / "tests" / "integration"))
import harness  # noqa: E402  pylint: disable=wrong-import-position

import machnet  # noqa: E402  pylint: disable=wrong-import-position

ports = itertools.count(2000)


@pytest.fixture(scope="session")
def engines():
    """Two engines, for all tests that do not kill one."""
    with harness.two_engines() as both:
        yield both


@pytest.fixture
def contexts(engines):
    contexts = [machnet.Context(socket_path=engine.socket) for engine in engines]
    yield contexts
    for context in contexts:
        context.close()
    gc.collect()


@pytest.fixture
def channels(contexts):
    with contexts[0].open_channel() as one, contexts[1].open_channel() as two:
        yield one, two


@pytest.fixture
def where(engines):
    """An address of the second engine that nobody used before."""
    return engines[1].address(next(ports))


@pytest.fixture
def flows(channels, where):
    """Both ends of a flow."""
    with channels[1].open_listener(where) as listener:
        flow = channels[0].open_flow(where, timeout=5)
        accepted = listener.accept(timeout=5)
    yield flow, accepted
    flow.close()
    accepted.close()


@pytest.fixture
def own_engine():
    """An engine that a test may kill."""
    engine = harness.Engine(harness.NET + ".9")
    yield engine
    engine.clean_up()
