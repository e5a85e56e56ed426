# SPDX-License-Identifier: MIT
"""Borrowed messages and reserved buffers: nothing that is looked at goes away, nothing that was sent can be written."""
import gc
import os
import random
import threading

import machnet
import pytest
from machnet import errors


def test_borrow_is_read_only(flows):
    flows[0].send(b"abcdef", 4)
    message = flows[1].borrow(5)
    assert message.data == b"abcdef" and message.tag == 4 and message.flow is flows[1] and len(message) == 6
    for view in (message.data, memoryview(message.data.obj), message.data[1:], message.data.cast("B")):
        assert view.readonly
        with pytest.raises(TypeError):
            view[0] = 1
    message.release()
    message.release()
    with pytest.raises(errors.StaleError):
        message.data  # pylint: disable=pointless-statement


def test_a_view_outlives_everything(contexts, where):
    with contexts[1].open_channel() as channel, channel.open_listener(where) as listener:
        flow = channel.open_flow(where, timeout=5)
        data = os.urandom(300000)
        flow.send(data)
        with listener.accept(5).borrow(5) as message:
            view = message.data[1000:]
    del flow, channel, message, listener
    gc.collect()
    assert view == data[1000:]
    with pytest.raises(BufferError):
        memoryview(view.obj)  # it was released: no new views
    del view
    gc.collect()


def test_released_with_the_last_view(channels, flows):
    """Each round borrows an eighth of the receive arena: it would stall if views that are gone, or objects that were released, kept memory."""
    kept = []
    for round_ in range(20):
        flows[0].send(bytes([round_]) * machnet.MESSAGE_MAX)
        message = flows[1].borrow(10)
        part = message.data[-1:]
        if round_ % 2:
            message.release()
            kept.append(message)
        del message
        assert part[0] == round_
        del part


def test_reserve_commit(flows):
    with flows[0].reserve(100) as buffer:
        assert not buffer.data.readonly and len(buffer.data) == len(buffer) == 100
        view = buffer.data
        view[:3] = b"abc"
        buffer.commit(3, 77)
        with pytest.raises(ValueError):
            view[0] = 1  # released
        with pytest.raises(BufferError):
            buffer.data  # pylint: disable=pointless-statement
        with pytest.raises(errors.StaleError):
            buffer.commit()
        buffer.abandon()
    message = flows[1].receive(5)
    assert (message.data, message.tag) == (b"abc", 77)


def test_commit_is_refused_while_it_could_be_written(flows):
    buffer = flows[0].reserve(10)
    part = buffer.data[2:5]
    with pytest.raises(BufferError):
        buffer.commit()
    with pytest.raises(BufferError):
        buffer.abandon()
    part.release()
    buffer.data[:] = b"0123456789"
    buffer.commit()
    assert flows[1].receive(5).data == b"0123456789"


def test_reserve_refusals(flows):
    with pytest.raises(errors.MessageSizeError):
        flows[0].reserve(machnet.MESSAGE_MAX + 1)
    with pytest.raises(OverflowError):
        flows[0].reserve(-1)
    buffer = flows[0].reserve(8)
    with pytest.raises(ValueError):
        buffer.commit(9)
    flows[0].close()
    with pytest.raises(machnet.MachnetError):
        buffer.commit()
    buffer.abandon()


def test_lost_reservations_are_abandoned(flows):
    for _ in range(200):
        flows[0].reserve(1 << 20, timeout=5).data[0] = 1


def test_release_by_a_third_thread_and_the_collector(flows):
    count, kept, stop = 3000, [], object()
    random.seed(1)

    def send():
        for number in range(count):
            flows[0].send(number.to_bytes(4, "big") * random.randrange(1, 500), number)

    import queue
    releases = queue.Queue()

    def release():
        for message in iter(releases.get, stop):
            message.release()

    threads = [threading.Thread(target=send), threading.Thread(target=release)]
    for thread in threads:
        thread.start()
    for number in range(count):
        message = flows[1].borrow(10)
        assert message.tag == number and message.data[:4] == number.to_bytes(4, "big")
        if number % 3 == 0:
            releases.put(message)
        elif number % 16 == 1:
            kept.append((number, message.data))
            if len(kept) > 64:
                del kept[random.randrange(len(kept))]
        if number % 500 == 0:
            gc.collect()
        del message
    releases.put(stop)
    for thread in threads:
        thread.join()
    assert all(view[-4:] == number.to_bytes(4, "big") for number, view in kept)
