#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# ctest-alone
"""machnet perf between two engines: every mode, and what it prints."""
import json
import signal
import time

import harness
from harness import Engine, NET, SLOW, run_program, two_engines
from perf_runs import PORT, SHORT, check_cpu, check_result, end_server, listen, measure, start, wait_for_messages


# ---- What it measures ----

def test_closed_loop():
    with two_engines() as (one, two):
        server = listen(two)
        for arguments in ((), ("--window", 32), ("--window", 32, "--flows", 5), ("--size", 0, "--window", 8),
                          ("--size", 3000), ("--size", 1000000, "--window", 3), ("--no-verify",)):
            result = measure(one, two.address(PORT), *arguments)
            assert result["errors"] == 0 and result["messages"] > 5, result
            assert result["mode"] == "request-response" and result["rate"] is None and result["late_us"] is None, result
            assert 0.29 < result["seconds"] < 2 * SLOW, result
            check_cpu(result)
        end_server(server)


def test_every_way_to_wait():
    for poll in ("spin", "adaptive", "sleep"):
        with two_engines() as (one, two):
            server = listen(two, "--poll", poll)
            result = measure(one, two.address(PORT), "--poll", poll, "--window", 4)
            assert result["poll"] == poll and result["errors"] == 0 and result["messages"] > 50, result
            result = measure(one, two.address(PORT), "--poll", poll, "--stream")
            assert result["errors"] == 0 and result["messages"] > 1000, result
            end_server(server)


def test_longest_message():
    with two_engines() as (one, two):
        server = listen(two)
        for mode in ((), ("--stream",)):
            result = measure(one, two.address(PORT), "--size", 8388608, *mode)
            assert result["errors"] == 0 and result["messages"] >= 1, result
        end_server(server)


def test_stream():
    with two_engines() as (one, two):
        server = listen(two)
        for arguments in ((), ("--size", 0), ("--size", 65536, "--flows", 3), ("--size", 300000)):
            result = measure(one, two.address(PORT), "--stream", *arguments)
            assert result["mode"] == "stream" and result["window"] is None and result["errors"] == 0, result
            assert result["messages"] > 20 and result["rtt_us"]["p50"] > 0, result
            check_cpu(result)
        end_server(server)


def test_open_loop():
    with two_engines() as (one, two):
        server = listen(two)
        for arguments in ((), ("--flows", 7), ("--stream",)):
            result = measure(one, two.address(PORT), "--rate", 2000, *arguments)
            # nothing that was due is left out, however late it was
            assert result["messages"] == 600 and result["errors"] == 0 and result["unsent"] == 0, result
            assert result["rate"] == 2000 and result["arrivals"] == "even", result
            assert 0.2 < result["seconds"] < 2 * SLOW, result
            assert None not in result["late_us"].values(), result
        result = measure(one, two.address(PORT), "--rate", 2000, "--arrivals", "poisson")
        assert 450 < result["messages"] < 750 and result["arrivals"] == "poisson", result
        end_server(server)


def test_open_loop_counts_from_the_intended_time():
    """A server that stands still for 0.3 s is seen by every request that was due in that time."""
    with two_engines() as (one, two):
        server = listen(two)
        client = start(one, "--rate", 1000, "--window", 8, "--duration", 1.2, "--warmup", 0, "--json", two.address(PORT))
        time.sleep(0.3)
        server.signal(signal.SIGSTOP)
        time.sleep(0.3)
        server.signal(signal.SIGCONT)
        assert client.wait() == 0, client.log
        result = json.loads(client.lines[0])
        assert result["messages"] == 1200 and result["errors"] == 0, result
        assert result["rtt_us"]["max"] > 250000, result
        assert result["rtt_us"]["p90"] > 100000, result  # a quarter of all requests waited for it
        assert result["rtt_us"]["p50"] < 100000 or harness.SANITIZED, result
        end_server(server)


def test_open_loop_too_fast():
    with two_engines() as (one, two):
        server = listen(two)
        began = time.monotonic()
        result = measure(one, two.address(PORT), "--rate", 1e8, "--window", 16)
        assert time.monotonic() - began < 10 * SLOW
        assert result["unsent"] > 1e6 and result["messages"] + result["unsent"] == 3e7 and result["errors"] == 0, result
        assert result["rtt_us"]["p50"] > 10000, result
        end_server(server)


def test_many_flows():
    with two_engines() as (one, two):
        server = listen(two)
        result = measure(one, two.address(PORT), "--flows", 500, "--window", 2)
        assert result["flows"] == 500 and result["errors"] == 0 and result["messages"] >= 1000, result
        assert 0 < result["connect_seconds"] < 5 * SLOW, result
        harness.wait_until(lambda: two.status()["flow_count"] == 0, 5, "flows of the client gone")
        end_server(server)


def test_two_clients_at_once():
    with two_engines() as (one, two):
        server = listen(two)
        clients = [start(one, "--duration", 0.5, "--json", *more, two.address(PORT))
                   for more in (("--window", 4), ("--stream", "--size", 1000))]
        for client in clients:
            assert client.wait() == 0, client.log
            assert json.loads(client.lines[0])["errors"] == 0, client.lines
        end_server(server)


def test_within_one_engine():
    with Engine(NET + ".2") as engine:
        server = listen(engine)
        result = measure(engine, engine.address(PORT), "--window", 4)
        assert result["errors"] == 0 and result["messages"] > 50, result
        assert result["cpu_ns_per_message"]["peer_engine"] == 0 < result["cpu_ns_per_message"]["engine"], result
        end_server(server)


def test_table():
    with two_engines() as (one, two):
        server = listen(two, "--once")
        result = run_program("machnet", "perf", *SHORT, "--rate", "1000", two.address(PORT), env=one.env())
        assert result.returncode == 0 and result.stderr == "", result
        for word in (two.address(PORT), "64 bytes", "messages/s", "Gbit/s", "round trip", "p99.9", "sent late", "client",
                     "peer's engine"):
            assert word in result.stdout, (word, result.stdout)
        assert server.wait(5) == 0, server.log  # --once


# ---- Ctrl-C ----

def test_interrupted():
    with two_engines() as (one, two):
        server = listen(two)
        for more in ((), ("--stream",), ("--rate", 100), ("--window", 8, "--poll", "spin")):
            client = start(one, "--duration", 600, "--warmup", 0.05, "--json", *more, two.address(PORT))
            wait_for_messages(one, 40)
            time.sleep(0.3)
            client.signal(signal.SIGINT)
            assert client.wait(5) == 0, client.log
            result = json.loads(client.lines[0])
            assert result["interrupted"] and result["messages"] > 10 and result["errors"] == 0, result
            assert 0.1 < result["seconds"] < 2 * SLOW, result
            check_result(result)
        end_server(server)


def test_interrupted_before_measuring():
    with two_engines() as (one, two):
        server = listen(two)
        client = start(one, "--warmup", 600, two.address(PORT))
        wait_for_messages(one, 40)
        client.signal(signal.SIGINT)
        assert client.wait(5) == 130 and client.lines == [] and len(client.log) == 1, client.log
        end_server(server)


if __name__ == "__main__":
    harness.main(globals())
