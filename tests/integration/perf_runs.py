# SPDX-License-Identifier: MIT
"""Runs of machnet perf, and what must be true of all that they print."""
import json
import signal

import harness
from harness import Process

PORT = 7000
SHORT = ("--duration", "0.3", "--warmup", "0.05")
PERCENTILES = ("p50", "p90", "p99", "p99_9", "max")


def start(engine, *arguments, **keywords):
    return Process([harness.program("machnet"), "perf", *map(str, arguments)], env=engine.env(), **keywords)


def listen(engine, *arguments, address=None):
    server = start(engine, "--listen", *arguments, address or engine.address(PORT))
    server.expect_log("serving at")
    return server


def end_server(server):
    server.signal(signal.SIGINT)
    assert server.wait(10) == 0, server.log
    assert len(server.log) == 1, server.log


def measure(engine, address, *arguments, status=0, seconds=40):
    """The JSON object of a run, whose parts must agree with each other."""
    client = start(engine, *SHORT, *arguments, "--json", address)
    assert client.wait(seconds) == status, (client.process.returncode, client.lines, client.log)
    assert status != 0 or client.log == [], client.log
    assert len(client.lines) == 1, client.lines
    result = json.loads(client.lines[0])
    check_result(result)
    return result


def check_result(result):
    assert abs(result["messages_per_second"] * result["seconds"] - result["messages"]) < 1 + result["messages"] * 1e-6, result
    bits = result["messages_per_second"] * result["size"] * 8 / 1e9
    assert abs(result["gigabits_per_second"] - bits) <= bits * 1e-6 + 1e-9, result
    values = [result["rtt_us"][name] for name in PERCENTILES]
    if None not in values:
        assert values == sorted(values) and values[0] > 0, result


def check_cpu(result):
    cpu = result["cpu_ns_per_message"]
    for name in ("client", "server", "engine", "peer_engine"):
        assert 0 < cpu[name] < 1e9, result
        # nobody has more than the time there was, on one processor each
        assert cpu[name] * result["messages"] < (result["seconds"] + 0.5) * 1.1e9, (name, result)
    total = sum(cpu[name] for name in ("client", "server", "engine", "peer_engine"))
    assert abs(cpu["total"] - total) < total * 1e-6 + 1e-3, cpu


def wait_for_messages(engine, count):
    """Until the client's flows sent so many."""
    def sent():
        return sum(flow["messages_sent"] for flow in engine.status()["flows"]) >= count
    harness.wait_until(sent, 10, "%d messages are sent" % count)
