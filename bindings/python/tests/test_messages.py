# SPDX-License-Identifier: MIT
"""Sending and receiving, one at a time and in batches, and what is refused."""
import array
import os
import threading
import time

import machnet
import pytest
from common import fill
from machnet import errors


@pytest.mark.parametrize("length", [0, 1, 63, 64, 2047, 2048, 2049, 65535, 65536, 65537, 1 << 20, machnet.MESSAGE_MAX])
def test_every_length(flows, length):
    data = os.urandom(length)
    flows[0].send(data, 2**64 - 1)
    message = flows[1].receive(10)
    assert message.data == data and message.tag == 2**64 - 1 and message.flow is flows[1] and len(message) == length


def test_bytes_like(flows):
    for data in (bytearray(b"abcd"), memoryview(b"xabcd")[1:], array.array("B", b"abcd")):
        flows[0].send(data)
        flows[0].send_many([data, (data, 5)])
        assert [flows[1].receive(5).data for _ in range(3)] == [b"abcd"] * 3
    for wrong in ("text", 5, None):
        with pytest.raises(TypeError):
            flows[0].send(wrong)
        with pytest.raises(TypeError):
            flows[0].send_many([wrong])


def test_tags_out_of_range(flows):
    for wrong in (-1, 2**64):
        with pytest.raises(OverflowError):
            flows[0].send(b"", wrong)
        with pytest.raises(OverflowError):
            flows[0].send_many([(b"", wrong)])
    with pytest.raises(TypeError):
        flows[0].send(b"", "1")


def test_batches_keep_order(flows):
    sent = [(os.urandom(i * 37 % 3000), i) for i in range(2000)]
    sent[700] = (os.urandom(200000), 700)
    thread = threading.Thread(target=flows[0].send_many, args=(sent,))
    thread.start()
    received = []
    while len(received) < len(sent):
        batch = flows[1].receive_many(100, timeout=10)
        assert 1 <= len(batch) <= 100
        received += [(message.data, message.tag) for message in batch]
    thread.join()
    assert received == sent


def test_a_wrong_item_ends_a_batch_before_it(flows):
    with pytest.raises(TypeError):
        flows[0].send_many([b"a", b"b", "c"])
    assert [flows[1].receive(5).data for _ in range(2)] == [b"a", b"b"]
    assert flows[0].try_send_many([b"a", "c"]) == 1
    assert flows[0].try_send_many([b"a"], 1) == 0


def test_a_batch_of_several_flows(channels, flows, where):
    with channels[1].open_listener(":0") as listener:
        second = channels[0].open_flow("%s:%d" % (where.rpartition(":")[0], listener.address.port), timeout=5)
        other = listener.accept(5)
    channels[0].send_many([(flows[0], b"1", 1), (second, b"2", 2), (flows[0], b"3", 3)])
    got = {}
    while sum(map(len, got.values())) < 3:
        for message in channels[1].receive_many(timeout=5):
            got.setdefault(message.flow, []).append(message.tag)
    assert got == {flows[1]: [1, 3], other: [2]}
    channels[1].send_many([machnet.Message(b"back", 9, other)])
    message = channels[0].receive(5)
    assert message.flow is second and message.tag == 9
    with pytest.raises(ValueError):
        channels[0].send_many([(other, b"of another channel", 0)])
    with pytest.raises(TypeError):
        channels[0].send_many([b"of no flow"])


def test_too_long_stays(flows):
    flows[0].send(b"x" * 5000, 8)
    with pytest.raises(errors.MessageSizeError) as caught:
        flows[1].receive(5, limit=4999)
    assert caught.value.length == 5000 and caught.value.code == machnet.Status.EMSGSIZE
    buffer = bytearray(5000)
    with pytest.raises(errors.MessageSizeError):
        flows[1].receive_into(memoryview(buffer)[:100])
    assert flows[1].receive_into(buffer) == (5000, 8) and buffer == b"x" * 5000
    with pytest.raises(errors.MessageSizeError):
        flows[0].send(bytes(machnet.MESSAGE_MAX + 1))
    with pytest.raises(BufferError):
        flows[1].receive_into(b"read-only")


def test_timeouts(flows):
    with pytest.raises(BlockingIOError) as caught:
        flows[1].receive(0)
    assert caught.value.code == machnet.Status.EAGAIN
    start = time.monotonic()
    with pytest.raises(TimeoutError) as timed:
        flows[1].receive(0.1)
    assert 0.1 <= time.monotonic() - start < 5 and timed.value.code == machnet.Status.ETIMEDOUT
    assert flows[1].try_receive() is None and flows[1].try_receive_many() == []


def test_backpressure_and_space(flows):
    sent = fill(flows[0])
    with pytest.raises(BlockingIOError):
        flows[0].send(b"x" * 60000, timeout=0)
    with pytest.raises(TimeoutError):
        flows[0].send(b"x" * 60000, timeout=0.05)
    thread = threading.Thread(target=flows[0].send, args=(b"last", 1 << 40))
    thread.start()
    for expected in range(sent):
        assert flows[1].receive(10).tag == expected
    flows[0].send(b"y" * 60000, 1 << 41, timeout=10)
    thread.join(10)
    assert {flows[1].receive(5).tag for _ in range(2)} == {1 << 40, 1 << 41}


def test_wait_space(flows):
    fill(flows[0])
    reader = threading.Thread(target=lambda: [flows[1].receive(5) for _ in range(50)])
    reader.start()
    flows[0].wait_space(10)
    reader.join()


def test_info_addresses_stats(channels, flows, where):
    flows[0].send(b"abc")
    flows[1].receive(5)
    info = flows[1].info()
    assert info.messages_received == 1 and info.state == machnet.FlowState.OPEN and info.status == machnet.Status.OK
    local, remote = flows[0].addresses()
    assert str(remote) == where and flows[1].addresses() == (remote, local)
    assert all(isinstance(value, int) for value in channels[0].stats().values()) and channels[0].stats()


def test_ipv6():
    import harness
    with harness.Engine("::1", "--udp-port", str(30000 + os.getpid() % 20000)) as engine:
        with machnet.Context(socket_path=engine.socket) as context, context.open_channel() as channel:
            listener = channel.open_listener("[::1]:0")
            flow = channel.open_flow(listener.address, timeout=5)
            flow.send(b"six")
            accepted = listener.accept(5)
            assert accepted.receive(5).data == b"six" and accepted.addresses()[0].ip.version == 6
