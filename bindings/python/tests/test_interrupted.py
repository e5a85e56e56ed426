# SPDX-License-Identifier: MIT
"""What comes in between, at any instruction: an exception of a signal handler, a handler or a finaliser that makes calls itself, a fork."""
import asyncio
import contextlib
import dis
import gc
import os
import signal
import sys
import threading
import time
import traceback

import machnet
import pytest
from machnet import _shared, aio, errors


RETURN = dis.opmap["RETURN_VALUE"]  # behind it nothing can be undone; real signals do not come there


class Interrupt(Exception):
    pass


def interrupt():
    raise Interrupt


class At:
    """Calls `what` before the instruction number `at` of the module's functions. `reached`: there was one."""

    def __init__(self, at, what, *, names=None):
        self._at, self._what, self._names = at, what, names
        self.reached = False

    def _trace(self, frame, event, _):
        if frame.f_code.co_filename != _shared.__file__ or self._names is not None and frame.f_code.co_name not in self._names:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode" and not self.reached and frame.f_code.co_code[frame.f_lasti] != RETURN:
            self._at -= 1
            if self._at < 0:
                self.reached = True
                sys.settrace(None)
                self._what()
        return self._trace

    def __enter__(self):
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_):
        sys.settrace(None)


TAKING = ("_take_events", "_hand_on", "_hand_on_one")


def news(channel):
    """Events lie there, and nobody took them."""
    end = time.monotonic() + 5
    while not channel._sides.look(machnet.Wait.EVENT):
        assert time.monotonic() < end


def everywhere(play):
    """play(at) at each instruction, until there are no more."""
    at = 0
    while play(at):
        at += 1
    assert at > 30, at


@pytest.mark.parametrize("what", ["an exception", "a call"])
def test_events_are_handed_on_once(channels, where, what):
    one, two = channels
    two.try_events()
    listener = two.open_listener(where)

    def play(at):
        flow = one.open_flow(where, timeout=5)
        flow.close()
        assert flow.wait_closed(5) == machnet.Status.OK
        news(two)
        told = []
        place = At(at, interrupt if what == "an exception" else lambda: told.extend(two.try_events()), names=TAKING)
        try:
            with place:
                told += two.try_events()
        except Interrupt:
            pass
        while [event.type for event in told].count(machnet.EventType.CLOSED) < 1:
            told += two.events(5)
        assert sorted(event.type for event in told) == [machnet.EventType.ACCEPTED, machnet.EventType.CLOSED], (at, told)
        accepted = {event.flow for event in told}
        assert len(accepted) == 1 and None not in accepted, (at, told)
        with pytest.raises(BlockingIOError):
            listener.accept(0)
        accepted.pop().close()
        assert not two._flows and not two._taken
        return place.reached
    everywhere(play)


@pytest.mark.parametrize("what", ["an exception", "a call"])
def test_flows_are_accepted_once(channels, where, what):
    one, two = channels
    listener, got = two.open_listener(where), []

    def accept():
        try:
            got.append(listener.accept(0))
        except BlockingIOError:
            pass

    def play(at):
        got.clear()
        flow = one.open_flow(where, timeout=5)
        news(two)
        place = At(at, interrupt if what == "an exception" else accept, names=TAKING)
        try:
            with place:
                accept()
        except Interrupt:
            pass
        if not got:
            got.append(listener.accept(5))
        with pytest.raises(BlockingIOError):
            listener.accept(0)
        assert len(got) == 1 and list(two._flows.values()) == got, at
        flow.close()
        got[0].wait_closed(5)
        got[0].close()
        assert not two._flows
        return place.reached
    everywhere(play)


def test_a_flow_is_accepted_while_events_are_told(channels, where):
    """Told by the one, given by the other, or both, but not neither."""
    one, two = channels
    two.try_events()
    listener, got = two.open_listener(where), []

    def accept():
        with contextlib.suppress(BlockingIOError):
            got.append(listener.accept(0))

    def play(at):
        flow = one.open_flow(where, timeout=5)
        news(two)
        place = At(at, accept, names=("try_events",))
        with place:
            got.extend(event.flow for event in two.try_events() if event.type == machnet.EventType.ACCEPTED)
        assert len(set(got)) == 1 and list(two._flows.values()) == got[:1], at
        flow.close()
        got[0].wait_closed(5)
        got[0].close()
        two.try_events()
        got.clear()
        return place.reached
    everywhere(play)


def test_flows_are_closed_once(channels, where):
    one, two = channels
    listener = two.open_listener(where)

    def play(at):
        flow, accepted = one.open_flow(where, timeout=5), listener.accept(5)
        accepted.close()
        flow.wait_closed(5)
        place = At(at, interrupt, names=("try_close",))
        try:
            with place:
                flow.close()
        except Interrupt:
            flow.close()
        accepted.wait_closed(5)
        assert not one._flows and not two._flows
        return place.reached
    at = 0
    while play(at):
        at += 1
    assert at > 10


def test_an_interrupted_open_leaves_nothing(channels, where):
    one, two = channels

    def play(at):
        place = At(at, interrupt, names=("open_listener",))
        try:
            with place:
                listener = two.open_listener(where)
        except Interrupt:
            listener = two.open_listener(where)  # the address is free
        listener.close()
        return place.reached
    everywhere(play)

    def dial(at):
        place = At(at, interrupt, names=("try_start_flow",))
        try:
            with place:
                flow = one.start_flow(where)
        except Interrupt:
            return place.reached
        flow.close()
        return False
    listener = two.open_listener(where)
    everywhere(dial)
    end = time.monotonic() + 5
    while time.monotonic() < end and (one._flows or two._flows):
        one._take_events()
        with contextlib.suppress(BlockingIOError):
            listener.accept(0).close()
    assert not one._flows and not two._flows


def test_a_finaliser_may_send_while_others_send(channels, flows):
    """The collector may run it in the middle of a call."""
    class Farewell:
        def __init__(self):
            self.cycle = self

        def __del__(self):
            farewells.append(channels[0].try_send_many([(flows[0], b"bye!", 7)]))
    farewells, counts, messages = [], [], [b"good", b"data", (b"of a wrong tag", -1)]
    old = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(200):
            gc.disable()
            Farewell()
            try:
                raise KeyError
            except KeyError:  # while one is handled, another is made at once
                gc.enable()
                counts.append(flows[0].try_send_many(messages))
    finally:
        gc.set_threshold(*old)
    gc.collect()
    received = []
    while len(received) < 400 + sum(farewells):
        received += [(message.data, message.tag) for message in flows[1].receive_many(256, timeout=5)]
    assert sum(farewells) > 0 and counts == [2] * 200
    assert set(received) == {(b"good", 0), (b"data", 0), (b"bye!", 7)}
    assert received.count((b"good", 0)) == 200


# ---- Fork

def in_child(function, seconds=5):
    """Runs it in a child: its exit status, 0 if it returned."""
    child = os.fork()
    if child == 0:
        signal.alarm(seconds)
        status = 1
        try:
            function()
            status = 0
        except BaseException:  # pylint: disable=broad-except
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_fork_while_another_thread_is_in_a_call(own_engine):
    with machnet.Context(socket_path=own_engine.socket) as context:
        channel = context.open_channel()
        listener = channel.open_listener(own_engine.address(7000))
        flow = channel.open_flow(listener.address, timeout=5)
        accepted = listener.accept(5)
        sleeping = threading.Thread(target=lambda: pytest.raises(errors.ChannelGoneError, accepted.receive))
        sleeping.start()
        time.sleep(0.1)
        own_engine.signal(signal.SIGSTOP)
        asking = threading.Thread(target=lambda: channel.open_listener(own_engine.address(7001)))
        asking.start()  # it holds the channel's lock while it waits for an answer
        time.sleep(0.1)

        def child():
            for use in (channel.try_events, channel.wait, lambda: channel.open_flow(listener.address), listener.accept, channel.receive, flow.wait_closed,
                        lambda: channel.open_listener(":0"), channel.wake, flow.receive, lambda: flow.send(b""), channel.shutdown):
                with pytest.raises(errors.ForkedError):
                    use()
            for thing in (flow, accepted, listener, channel, context):
                thing.close()
            gc.collect()
        try:
            status = in_child(child)
        finally:
            own_engine.signal(signal.SIGCONT)
            asking.join()
        assert status == 0
        flow.send(b"the parent lives")
        channel.close()
        sleeping.join(5)
        assert not sleeping.is_alive()


def test_a_child_leaves_the_parents_loop_alone(contexts, where):
    async def inside():
        async with aio.open_channel(contexts[0]) as channel:
            assert in_child(channel.close) == 0
            async with aio.open_channel(contexts[1]) as other:
                listener = other.open_listener(where)
                flow = await asyncio.wait_for(channel.open_flow(listener.address), 2)
                accepted = await asyncio.wait_for(listener.accept(), 2)
                await accepted.send(b"x")
                assert (await asyncio.wait_for(flow.receive(), 2)).data == b"x"
    asyncio.run(inside())
