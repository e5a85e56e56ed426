# SPDX-License-Identifier: MIT
"""Operations that cannot be done from outside: threads, cancelled waits, the collector, fork, signals."""
import asyncio
import gc
import json
import os
import queue
import random
import signal
import threading
import zlib

import machnet

import life
from messages import Deadline, play_stream, take_stream
from objects import Unavailable
from payload import Sum


def in_threads(*functions):
    """Runs them all; the first exception of one is raised."""
    problems = []

    def guard(function):
        try:
            function()
        except Exception as problem:  # pylint: disable=broad-except
            problems.append(problem)
    threads = [threading.Thread(target=guard, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]


def exchange(objects, request):
    flow, deadline = objects.get("flow", request["flow"]), Deadline(request)
    borrowed, answers = queue.Queue(), []

    def receive():
        try:
            answers.append(take_stream(flow, request, deadline, borrowed.put))
        finally:
            borrowed.put(None)

    def release():
        for message in iter(borrowed.get, None):
            message.release()
    in_threads(lambda: play_stream(flow, request, deadline), receive, release)
    return answers[0]


async def aio_ready(channel, flow):
    """Waits, cancellable, for the channel's descriptor, in a loop that belongs to this call."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(channel.fileno(), ready.set)
    try:
        while True:
            message = flow.try_receive()
            if message is not None:
                return message
            life.kept_events(channel)
            ready.clear()
            await ready.wait()
    finally:
        loop.remove_reader(channel.fileno())


async def cancel_all(flow, request, total):
    deadline, cancelled = Deadline(request), 0
    while total.count < request["count"] or cancelled < request["waits"]:
        task = asyncio.ensure_future(aio_ready(flow.channel, flow))
        await asyncio.sleep(random.random() * 0.0002)
        task.cancel()
        try:
            message = await task
            total.add(message.tag, message.data)
        except asyncio.CancelledError:
            cancelled += 1
        if deadline.left() < 1e-5:
            raise TimeoutError
    return cancelled


def cancel_waits(objects, request):
    flow, total = objects.get("flow", request["flow"]), Sum()
    try:
        cancelled = asyncio.run(cancel_all(flow, request, total))
    except TimeoutError:
        raise machnet.errors.TimedOutError("a message is missing", machnet.Status.ETIMEDOUT) from None
    return {**total.answer(), "cancelled": cancelled}


def gc_stress(objects, request):
    flow, deadline, total, kept = objects.get("flow", request["flow"]), Deadline(request), Sum(), []
    for number in range(request["count"]):
        message = flow.borrow(deadline.left())
        total.add(message.tag, message.data)
        if number % 16 == 0:
            kept = kept[-63:] + [(message.data, zlib.crc32(message.data))]
        if number % 64 == 0:
            gc.collect()
        del message
    intact = all(zlib.crc32(view) == crc for view, crc in kept)
    kept.clear()
    gc.collect()
    return {**total.answer(), "intact": intact}


def outcome(call):
    try:
        call()
        return "MACHNET_OK"
    except machnet.MachnetError as problem:
        return "MACHNET_" + machnet.Status(problem.code).name


def own(socket):
    with machnet.Context(socket_path=socket) as context, context.open_channel():
        pass


def in_child(objects, request):
    flow, channel = objects.get("flow", request["flow"]), objects.get("channel", request["channel"])
    message, context = objects.get("message", request["message"]), objects.get("context", request["context"])
    calls = {"send": lambda: flow.send(b"x", timeout=1), "receive": lambda: flow.receive(0), "reserve": lambda: flow.reserve(8, 0), "info": flow.info,
             "stats": channel.stats, "open_channel": context.open_channel}
    return {"inherited": {name: outcome(call) for name, call in calls.items()}, "crc": zlib.crc32(message.data),
            "own": outcome(lambda: own(request["socket"]))}


def fork(objects, request):
    crc = zlib.crc32(objects.get("message", request["message"]).data)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, json.dumps(in_child(objects, request)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        answer = json.loads(pipe.read() or b"{}")
    os.waitpid(child, 0)
    answer["readable"] = answer.pop("crc", None) == crc
    return answer


def handle_signal(objects, request):
    signal.signal(signal.SIGUSR1, lambda *_: None)


def raw(objects, request):
    raise Unavailable("tokens cannot be made up")


OPERATIONS = {function.__name__: function for function in (exchange, cancel_waits, gc_stress, fork, handle_signal, raw)}
