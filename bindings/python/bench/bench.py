# SPDX-License-Identifier: MIT
"""What a 64-byte message costs in Python, sent and received, against an in-process echo of the channel's rings: one line of JSON.

libmachnet_echo.so serves the rings when told to (machnet_echo_turn), on the thread that sends; its turns are not timed.
With --remote: round trips through the engine of MACHNET_SOCKET to tests/bench/bindings/server.c.
"""
import argparse
import asyncio
import ctypes
import json
import os
import statistics
import sys
import time
from typing import Awaitable, Callable, Dict, List

import machnet
from machnet import aio

BATCH, SINGLES, CHUNK = 32, 256, 64
WARM_UP, SECONDS = 0.1, 0.3
ADDRESS = "10.0.0.2:7000"


def load_echo() -> ctypes.CDLL:
    echo = ctypes.CDLL(os.path.join(os.environ["MACHNET_BUILD"], "lib", "libmachnet_echo.so"))
    echo.machnet_echo_start.argtypes = [ctypes.c_char_p, ctypes.c_uint64]
    echo.machnet_echo_start.restype = ctypes.c_int32
    echo.machnet_echo_turn.restype = ctypes.c_uint64
    return echo


class Echo:
    """The echo; it serves one channel from start to stop."""

    def __init__(self, library: ctypes.CDLL) -> None:
        path = ctypes.create_string_buffer(256)
        self.turn: Callable[[], int] = library.machnet_echo_turn
        self.stop: Callable[[], None] = library.machnet_echo_stop
        if library.machnet_echo_start(path, len(path)) < 0:
            sys.exit("bench: the echo does not start")
        self.context = machnet.Context(socket_path=path.value.decode())


def report(samples: List[float]) -> float:
    return round(statistics.median(samples), 1)


def measure(once: Callable[[], float]) -> float:
    """The median of what once() says, in ns for each message."""
    end = time.perf_counter() + WARM_UP
    while time.perf_counter() < end:
        once()
    samples, end = [], time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        samples.append(once())
    return report(samples)


def batch(flow: machnet.Flow, echo: Echo) -> float:
    messages, clock = [b"x" * 64] * BATCH, time.perf_counter_ns
    start = clock()
    flow.send_many(messages)
    sent = clock()
    echo.turn()
    resumed = clock()
    received = flow.receive_many(BATCH)
    end = clock()
    assert len(received) == BATCH
    return (sent - start + end - resumed) / BATCH


def single(flow: machnet.Flow, echo: Echo) -> float:
    message, clock = b"x" * 64, time.perf_counter_ns
    start = clock()
    for _ in range(SINGLES):
        flow.send(message)
    sent = clock()
    echo.turn()
    resumed = clock()
    for _ in range(SINGLES):
        flow.receive()
    return (sent - start + clock() - resumed) / SINGLES


async def batch_async(flow: aio.Flow, echo: Echo) -> float:
    messages, clock = [b"x" * 64] * BATCH, time.perf_counter_ns
    start = clock()
    await flow.send_many(messages)
    sent = clock()
    echo.turn()
    resumed = clock()
    received = await flow.receive_many(BATCH)
    end = clock()
    assert len(received) == BATCH
    return (sent - start + end - resumed) / BATCH


async def measure_async(once: Callable[[], Awaitable[float]]) -> float:
    samples: List[float] = []
    end = time.perf_counter() + WARM_UP
    while time.perf_counter() < end:
        await once()
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        samples.append(await once())
    return report(samples)


async def run_async(library: ctypes.CDLL) -> float:
    echo = Echo(library)
    async with aio.open_channel(echo.context) as channel:
        flow = await channel.start_flow(ADDRESS)
        echo.turn()
        await flow.wait_open()
        cost = await measure_async(lambda: batch_async(flow, echo))
    echo.stop()
    return cost


# ---- Through engines: a sample is of CHUNK round trips

def remote_batch(flow: machnet.Flow) -> float:
    messages, clock = [b"x" * 64] * BATCH, time.perf_counter_ns
    start = clock()
    for _ in range(CHUNK):
        flow.send_many(messages)
        missing = BATCH
        while missing > 0:
            missing -= len(flow.receive_many(missing))
    return (clock() - start) / CHUNK / BATCH


def remote_single(flow: machnet.Flow) -> float:
    message, clock = b"x" * 64, time.perf_counter_ns
    start = clock()
    for _ in range(CHUNK):
        flow.send(message)
        flow.receive()
    return (clock() - start) / CHUNK


async def remote_batch_async(flow: aio.Flow) -> float:
    messages, clock = [b"x" * 64] * BATCH, time.perf_counter_ns
    start = clock()
    for _ in range(CHUNK):
        await flow.send_many(messages)
        missing = BATCH
        while missing > 0:
            missing -= len(await flow.receive_many(missing))
    return (clock() - start) / CHUNK / BATCH


async def run_remote_async(context: machnet.Context, address: str) -> float:
    async with aio.open_channel(context) as channel:
        flow = await channel.open_flow(address)
        return await measure_async(lambda: remote_batch_async(flow))


def run_remote(address: str) -> Dict[str, float]:
    context = machnet.Context()
    with context.open_channel() as channel:
        flow = channel.open_flow(address)
        costs = {"batch_ns": measure(lambda: remote_batch(flow)), "single_ns": measure(lambda: remote_single(flow))}
    costs["async_ns"] = asyncio.run(run_remote_async(context, address))
    return costs


# ---- Over the echo

def run_echo() -> Dict[str, float]:
    library = load_echo()
    echo = Echo(library)
    with echo.context.open_channel() as channel:
        flow = channel.start_flow(ADDRESS)
        echo.turn()
        flow.wait_open(1)
        costs = {"batch_ns": measure(lambda: batch(flow, echo)), "single_ns": measure(lambda: single(flow, echo))}
    echo.stop()
    costs["async_ns"] = asyncio.run(run_async(library))
    return costs


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--remote", metavar="ADDRESS")
    remote = parser.parse_args().remote
    costs = run_remote(remote) if remote else run_echo()
    print(json.dumps({"language": "python", **costs}))


main()
