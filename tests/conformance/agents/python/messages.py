# SPDX-License-Identifier: MIT
"""Operations on messages."""
import threading
import time
import zlib

import machnet

from objects import Closed, tag, timeout
from payload import Stream, Sum, payload

STREAM_MS = 20000


class Deadline:
    """What is left of the time for a whole stream."""

    def __init__(self, request, default=STREAM_MS):
        seconds = timeout(request, default)
        self.end = None if seconds is None else time.monotonic() + seconds

    def left(self):
        return None if self.end is None else max(self.end - time.monotonic(), 1e-6)


def source(objects, request):
    """A flow, or a channel for a message of any."""
    return objects.get("flow", request["flow"]) if "flow" in request else objects.get("channel", request["channel"])


def describe(objects, message):
    return {"flow": objects.name(message.flow), "length": len(message.data), "tag": str(message.tag), "crc": zlib.crc32(message.data)}


def send(objects, request):
    data = payload(request["seed"], request["length"])
    objects.get("flow", request["flow"]).send(data, tag(request), timeout(request))


def send_batch(objects, request):
    default, deadline = request["flow"], Deadline(request, 5000)
    batch = [(objects.get("flow", item.get("flow", default)), payload(item["seed"], item["length"]), tag(item)) for item in request["messages"]]
    flow = batch[0][0]
    if all(item[0] is flow for item in batch):
        owner, batch = flow, [item[1:] for item in batch]
    else:
        owner = flow.channel
    if request.get("timeout_ms") == 0:
        return {"count": owner.try_send_many(batch) or owner.send_many(batch, 0) or len(batch)}
    owner.send_many(batch, deadline.left())
    return {"count": len(batch)}


def send_zero_copy(flow, data, number, seconds):
    with flow.reserve(len(data), seconds) as buffer:
        buffer.data[:] = data
        buffer.commit(len(data), number, seconds)


def play_stream(flow, request, deadline):
    stream, at, batch = Stream(request), 0, request.get("batch", 1)
    while at < stream.count:
        some = [stream.message(k) for k in range(at, min(at + batch, stream.count))]
        if request.get("zero_copy"):
            for data, number in some:
                send_zero_copy(flow, data, number, deadline.left())
        elif batch > 1:
            flow.send_many(some, deadline.left())
        else:
            flow.send(*some[0], deadline.left())
        at += len(some)
        if "interval_us" in request:
            time.sleep(request["interval_us"] / 1e6)
    return stream.count


def send_stream(objects, request):
    return {"count": play_stream(objects.get("flow", request["flow"]), request, Deadline(request))}


def fill(objects, request):
    flow, count = objects.get("flow", request["flow"]), 0
    while count < 100000 and flow.try_send(payload(request["seed"] + count, request["length"]), count):
        count += 1
    return {"count": count}


def receive(objects, request):
    owner = source(objects, request)
    if "capacity" not in request:
        return describe(objects, owner.receive(timeout(request)))
    if "flow" not in request:
        return describe(objects, owner.receive(timeout(request), limit=request["capacity"]))
    buffer = bytearray(request["capacity"])
    length, number = owner.receive_into(buffer, timeout(request))
    return {"flow": request["flow"], "length": length, "tag": str(number), "crc": zlib.crc32(memoryview(buffer)[:length])}


def receive_batch(objects, request):
    messages = source(objects, request).receive_many(request["max"], timeout(request))
    return {"messages": [describe(objects, message) for message in messages]}


def take_stream(owner, request, deadline, release=None):
    total, batch = Sum(), request.get("batch", 1)
    while total.count < request["count"]:
        if request.get("zero_copy"):
            message = owner.borrow(deadline.left())
            total.add(message.tag, message.data)
            (release or machnet.Borrowed.release)(message)
        elif batch > 1:
            for message in owner.receive_many(min(batch, request["count"] - total.count), deadline.left()):
                total.add(message.tag, message.data)
        else:
            message = owner.receive(deadline.left())
            total.add(message.tag, message.data)
    return total.answer()


def receive_stream(objects, request):
    return take_stream(source(objects, request), request, Deadline(request))


def borrow(objects, request):
    message = source(objects, request).borrow(timeout(request))
    parent = objects.name(message.flow) if message.flow is not None else request.get("channel")
    objects.put("message", request["message"], message, parent)
    return describe(objects, message)


def check(objects, request):
    try:
        return describe(objects, objects.get("message", request["message"]))
    except machnet.errors.StaleError as problem:
        raise Closed(str(problem)) from None


def release(objects, request):
    message = objects.get("message", request["message"])
    if not request.get("thread"):
        message.release()
        return
    thread = threading.Thread(target=message.release)
    thread.start()
    thread.join()


def reserve(objects, request):
    buffer = objects.get("flow", request["flow"]).reserve(request["length"], timeout(request))
    objects.put("buffer", request["buffer"], buffer, request["flow"])
    return {"length": len(buffer)}


def commit(objects, request):
    buffer, length = objects.get("buffer", request["buffer"]), request["length"]
    if length <= len(buffer):
        buffer.data[:length] = payload(request["seed"], length)
    buffer.commit(length, tag(request), 5)


def abandon(objects, request):
    objects.get("buffer", request["buffer"]).abandon()


def echo(objects, request):
    flow, deadline = objects.get("flow", request["flow"]), Deadline(request)
    for _ in range(request["count"]):
        message = flow.receive(deadline.left())
        flow.send(message.data, message.tag, deadline.left())
    return {"count": request["count"]}


OPERATIONS = {function.__name__: function for function in (
    send, send_batch, send_stream, fill, receive, receive_batch, receive_stream, borrow, check, release, reserve, commit, abandon, echo)}
