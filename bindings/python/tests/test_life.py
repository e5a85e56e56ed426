# SPDX-License-Identifier: MIT
"""Beginnings and ends: refused, closed, aborted, shut down, engine gone, forked, lost; and what use afterwards answers."""
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import warnings

import machnet
import pytest
from machnet import errors
from machnet._library import check_version


def test_no_engine(tmp_path):
    with pytest.raises(ConnectionRefusedError) as caught:
        machnet.Context(socket_path=str(tmp_path / "none.sock"))
    assert caught.value.code == machnet.Status.ENOENGINE and isinstance(caught.value, errors.AttachError)


def test_versions():
    check_version(0x00000002, 0x00000002)
    check_version(0x00010002, 0x00010002)
    check_version(0x00010002, 0x00010005)
    for built, found in ((0x00000002, 0x00000003), (0x00000003, 0x00000002), (0x00010002, 0x00010001), (0x00010000, 0x00020000)):
        with pytest.raises(errors.VersionError, match=r"%d\.%d.*%d\.%d" % (built >> 16, built & 0xFFFF, found >> 16, found & 0xFFFF)):
            check_version(built, found)


def test_statuses_are_the_librarys():
    from machnet._library import lib, text
    for status in machnet.Status:
        assert text(lib.machnet_status_name(status)) == "MACHNET_" + status.name
        if status:
            assert type(errors.from_status(status)) is not errors.MachnetError or status == machnet.Status.EINTR


def test_options(contexts):
    with pytest.raises(errors.NotSupportedError):
        contexts[0].open_channel(machnet.Options(socket_path="/tmp/x"))
    with pytest.raises(errors.NotSupportedError):
        contexts[0].open_channel(machnet.Options(more={9999: 1}))
    with pytest.raises(ValueError):
        contexts[0].open_channel(machnet.Options(name="x" * 32))
    with contexts[0].open_channel(machnet.Options(name="test-name", poll=machnet.Poll.SLEEP, spin_ns=0, send_bytes=1 << 24)):
        assert "test-name" in str(contexts[0].status())


@pytest.mark.parametrize("wrong", ["", "10.0.0.1", "x:1", "10.0.0.1:70000", "10.0.0.1:1\0"])
def test_wrong_addresses(channels, wrong):
    with pytest.raises(ValueError):
        channels[0].open_flow(wrong)
    with pytest.raises(TypeError):
        channels[0].open_flow(7)


def test_addresses_of_listeners(channels, where):
    with channels[1].open_listener(where) as listener:
        assert str(listener.address) == where
        with pytest.raises(errors.AddressInUseError):
            channels[1].open_listener(where)
    with pytest.raises(errors.AddressNotAvailableError):
        channels[1].open_listener("10.99.99.99:1")
    channels[1].open_listener(where).close()


def test_refused_and_unreachable(channels, where, engines):
    with pytest.raises(ConnectionRefusedError) as caught:
        channels[0].open_flow(where, timeout=5)
    assert isinstance(caught.value, errors.FlowEndedError)
    with pytest.raises(errors.UnreachableError):
        channels[0].open_flow(engines[0].address(1, "127.250.250.250"), options=machnet.Options(open_timeout_ns=50_000_000))
    with pytest.raises(TimeoutError):
        channels[0].open_flow(engines[0].address(1, "127.250.250.250"), timeout=0.05)
    flow = channels[0].start_flow(where)
    assert flow.wait_closed(5) == machnet.Status.EREFUSED
    with pytest.raises(errors.FlowRefusedError):
        flow.receive()
    flow.close()


def test_close_delivers_then_tells(flows):
    for tag in range(100):
        flows[0].send(b"x" * 1000, tag)
    flows[0].close()
    assert [message.tag for message in flows[1]] == list(range(100))
    with pytest.raises(EOFError):
        flows[1].receive()
    assert flows[0].wait_closed(5) == machnet.Status.OK and flows[1].wait_closed(5) == machnet.Status.ECLOSED
    with pytest.raises(errors.FlowClosedError):
        flows[1].send(b"")


def test_abort_resets(flows):
    flows[0].close(abort=True)
    assert flows[1].wait_closed(5) == machnet.Status.ERESET
    with pytest.raises(ConnectionResetError):
        flows[1].receive()


def uses(flow):
    return [lambda: flow.send(b""), lambda: flow.send_many([b""]), lambda: flow.receive(1), lambda: flow.receive_many(timeout=1),
            lambda: flow.receive_into(bytearray(1), 1), lambda: flow.borrow(1), lambda: flow.reserve(1, 1), flow.addresses, flow.info]


def test_use_after_close(channels, flows, where):
    flows[0].close()
    flows[0].close()
    for use in uses(flows[0]):
        with pytest.raises(errors.StaleError):
            use()
    listener = channels[1].open_listener(where)
    listener.close()
    listener.close()
    with pytest.raises(errors.StaleError):
        listener.accept(1)
    assert list(listener) == []


def test_use_after_close_of_channel_and_context(contexts, where):
    channel = contexts[1].open_channel()
    listener, flow = channel.open_listener(where), channel.start_flow(where)
    channel.close()
    channel.close()
    for use in uses(flow) + [lambda: channel.open_listener(where), lambda: channel.open_flow(where), channel.stats, channel.fileno,
                             channel.try_events, channel.wake, channel.shutdown, lambda: channel.receive(1), lambda: channel.borrow(1),
                             lambda: channel.receive_many(timeout=1), lambda: channel.wait(timeout=1)]:
        with pytest.raises(errors.ShutdownError):
            use()
    with pytest.raises(errors.StaleError):
        listener.accept(1)
    flow.close()
    listener.close()
    context = contexts[0]
    context.close()
    context.close()
    for use in (context.status, context.open_channel):
        with pytest.raises(errors.StaleError):
            use()


@pytest.mark.parametrize("end", ["close", "shutdown"])
def test_an_end_wakes_who_waits(contexts, where, end):
    channel = contexts[1].open_channel()
    listener, told = channel.open_listener(where), []

    def wait(call):
        try:
            call()
        except machnet.MachnetError as problem:
            told.append(problem)
    calls = [listener.accept, channel.receive, channel.events, channel.wait]
    threads = [threading.Thread(target=wait, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    getattr(channel, end)()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    assert len(told) == 4
    channel.close()


def test_engine_gone(own_engine):
    context = machnet.Context(socket_path=own_engine.socket)
    with context.open_channel() as channel:
        listener = channel.open_listener(own_engine.address(7000))
        flow = channel.open_flow(listener.address, timeout=5)
        accepted = listener.accept(5)
        flow.send(b"before")
        while accepted.info().messages_queued == 0:
            channel.try_events()
        own_engine.kill()
        assert accepted.receive(5).data == b"before"
        with pytest.raises(errors.EngineGoneError):
            accepted.receive(5)
        for use in (lambda: flow.send(b""), lambda: listener.accept(5), lambda: channel.events(5), lambda: channel.open_flow(listener.address)):
            with pytest.raises(errors.EngineGoneError):
                use()


def test_fork(contexts, flows, channels):
    flows[0].send(b"kept")
    kept = flows[1].borrow(5)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for use in (lambda: flows[0].send(b""), lambda: flows[1].receive(1), channels[0].stats, lambda: channels[1].receive(1),
                        channels[0].try_events, contexts[0].open_channel, lambda: flows[0].reserve(1)):
                with pytest.raises(errors.ForkedError):
                    use()
            assert kept.data == b"kept"
            for thing in (kept.release, flows[0].close, channels[0].close, contexts[0].close):
                thing()
            gc.collect()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    flows[0].send(b"the parent lives")
    assert flows[1].receive(5).data == b"the parent lives" and kept.data == b"kept"


def test_lost_channels_are_collected(contexts, where):
    for _ in range(3):
        before = len(os.listdir("/proc/self/fd"))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            channel = contexts[1].open_channel()
            listener = channel.open_listener(where)
            flow = channel.open_flow(where, timeout=5)
            del channel, listener, flow
            gc.collect()
            assert any(warning.category is ResourceWarning for warning in caught)
            caught.clear()  # a warning has its source
            gc.collect()
        assert len(os.listdir("/proc/self/fd")) == before


def test_nothing_is_left_after_close(contexts, where):
    def once():
        with contexts[1].open_channel() as channel, channel.open_listener(where) as listener:
            with channel.open_flow(where, timeout=5) as flow:
                flow.send(b"x")
                with pytest.raises(TimeoutError):
                    flow.receive(0.01)
                kept.append(listener.accept(5).receive(5))
    kept = []
    once()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        once()
    assert len(os.listdir("/proc/self/fd")) == before


def test_interpreter_exit_with_everything_open(engines):
    program = """
import machnet, sys, threading
context = machnet.Context(socket_path=sys.argv[1])
channel = context.open_channel()
listener = channel.open_listener(":0")
flow = channel.open_flow(sys.argv[2] + ":%d" % listener.address.port, timeout=5)
accepted = listener.accept(5)
flow.send_many([b"x" * 1000] * 10)
kept = [accepted.borrow(5), accepted.borrow(5)]
views = [kept[0].data[5:], kept[1].data]
reserved = flow.reserve(100); written = reserved.data
threading.Thread(target=channel.receive, daemon=True).start()
class Cycle: pass
cycle = Cycle(); cycle.self = cycle; cycle.things = [kept, views, reserved, channel, flow]
print("end")
"""
    for _ in range(5):
        result = subprocess.run([sys.executable, "-c", program, engines[0].socket, engines[0].ip], capture_output=True, text=True, timeout=60)
        assert result.returncode == 0 and result.stdout == "end\n", result.stderr


def test_a_signal_ends_a_wait_by_its_exception_or_not(flows):
    seen = []
    old = signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
    try:
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1))
        timer.start()
        with pytest.raises(TimeoutError):
            flows[1].receive(0.5)
        assert seen == [1]

        class Stop(Exception):
            pass

        def stop(*_):
            raise Stop
        signal.signal(signal.SIGUSR1, stop)
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        with pytest.raises(Stop):
            flows[1].receive(10)
        flows[0].send(b"on")
        assert flows[1].receive(5).data == b"on"
    finally:
        signal.signal(signal.SIGUSR1, old)


def test_events(channels, where):
    one, two = channels
    assert one.try_events() == two.try_events() == []
    listener = two.open_listener(where)
    flow = one.start_flow(where)
    assert one.events(5)[0][:3] == (machnet.EventType.ESTABLISHED, machnet.Status.OK, flow)
    event = two.events(5)[0]
    assert event.type == machnet.EventType.ACCEPTED and event.listener is listener
    with pytest.raises(BlockingIOError):
        listener.accept(0)
    flow.close()
    event = two.events(5)[0]
    assert (event.type, event.status) == (machnet.EventType.CLOSED, machnet.Status.ECLOSED)
    event.flow.close()


def test_wait_and_wake(channels, flows):
    channel = channels[1]
    threading.Timer(0.05, channel.wake).start()
    assert channel.wait(timeout=5) == machnet.Wait(0)
    with pytest.raises(TimeoutError):
        channel.wait(timeout=0.05)
    flows[0].send(b"x")
    assert channel.wait(timeout=5) == machnet.Wait.RECEIVE


def test_closed_flows_are_forgotten(channels, where):
    with channels[1].open_listener(where) as listener:
        for number in range(40):
            flow = channels[0].open_flow(where, timeout=5)
            accepted = listener.accept(5)
            first, second = (flow, accepted) if number % 2 else (accepted, flow)
            first.close(abort=number % 4 == 0)
            second.wait_closed(5)
            second.close()
            first.wait_closed(5)
    assert [repr(channel) for channel in channels] == ["<Channel, 0 flows>"] * 2
