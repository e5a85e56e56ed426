# SPDX-License-Identifier: MIT
"""Ends under way: what came before can still be taken, who waits is told, and what could not be closed now is closed later."""
import asyncio
import os
import signal
import subprocess
import sys
import time

import harness
import machnet
import pytest
from common import Waits, fill
from machnet import aio, errors

RECEIVER = """
import asyncio, sys, machnet
from machnet import aio
context = machnet.Context(socket_path=sys.argv[1])
def tell(*words):
    print(*words, flush=True)
def threads(of_channel):
    channel = context.open_channel(machnet.Options(poll=machnet.Poll.SLEEP))
    with channel.open_listener(sys.argv[2]) as listener:
        tell("listening")
        flow = listener.accept()
    tell("waiting")
    while True:
        tell((channel if of_channel else flow).receive().data)
async def tasks(of_channel):
    channel = aio.open_channel(context)
    async with channel.open_listener(sys.argv[2]) as listener:
        tell("listening")
        flow = await listener.accept()
    tell("waiting")
    while True:
        tell((await (channel if of_channel else flow).receive()).data)
try:
    if sys.argv[3] == "threads":
        threads(sys.argv[4] == "channel")
    else:
        asyncio.run(tasks(sys.argv[4] == "channel"))
except machnet.MachnetError as problem:
    tell(problem.code.name)
"""


@pytest.mark.parametrize("what", ["flow", "channel"])
@pytest.mark.parametrize("world", ["threads", "tasks"])
def test_who_waits_gets_the_last_message_of_an_engine_that_is_gone(own_engine, world, what):
    address = own_engine.address(7000)
    receiver = subprocess.Popen([sys.executable, "-c", RECEIVER, own_engine.socket, address, world, what], stdout=subprocess.PIPE, text=True)
    try:
        assert receiver.stdout.readline() == "listening\n"
        with machnet.Context(socket_path=own_engine.socket) as context, context.open_channel() as channel:
            flow = channel.open_flow(address, timeout=5)
            assert receiver.stdout.readline() == "waiting\n"
            time.sleep(0.2)
            harness.stop(receiver.pid)  # it sleeps through the message and the end
            flow.send(b"last")
            while flow.info().messages_acknowledged == 0:
                channel.try_events()
            time.sleep(0.05)
            own_engine.kill()
        receiver.send_signal(signal.SIGCONT)
        assert receiver.communicate(timeout=10)[0] == "b'last'\nEENGINEGONE\n"
    finally:
        receiver.kill()
        receiver.communicate()


def test_events_that_are_kept_are_given_though_the_engine_is_gone(own_engine):
    context = machnet.Context(socket_path=own_engine.socket)
    with context.open_channel() as channel:
        channel.try_events()
        channel.open_listener(own_engine.address(7000))
        flow = channel.open_flow(own_engine.address(7000), timeout=5)
        flow.send(b"accepted")
        assert channel.receive(5).data == b"accepted"  # the news of the accepted flow, too, has come with it
        own_engine.kill()
        with pytest.raises(errors.EngineGoneError):
            flow.receive(5)
        events = channel.try_events()
        assert {event.type for event in events} == {machnet.EventType.ESTABLISHED, machnet.EventType.ACCEPTED}
        with pytest.raises(errors.EngineGoneError):
            channel.try_events()


# ---- Closing ends waits

@pytest.mark.parametrize("abort", [False, True])
def test_closing_a_flow_ends_its_waits(flows, abort):
    flow = flows[0]
    fill(flow)
    waits = Waits(lambda: flow.send(b"x" * 60000), lambda: flow.send_many([b"x" * 60000]), lambda: flow.reserve(60000), flow.wait_space, flow.receive)
    flow.close(abort=abort)
    assert all(isinstance(problem, errors.StaleError) for problem in waits.end())


def test_closing_a_channel_ends_waits_for_space(channels, flows):
    flow = flows[0]
    fill(flow)
    waits = Waits(lambda: flow.send(b"x" * 60000), lambda: flow.reserve(60000), flow.wait_space, flow.wait_closed)
    channels[0].close()
    assert all(isinstance(problem, errors.ShutdownError) for problem in waits.end())


@pytest.mark.parametrize("end", ["flow", "channel"])
def test_closing_ends_the_waits_of_tasks(contexts, where, end):
    async def inside():
        async with aio.open_channel(contexts[0]) as one, aio.open_channel(contexts[1]) as two:
            listener = two.open_listener(where)
            flow = await one.open_flow(where)
            refused = 0
            while refused < 10:
                if flow.try_send(b"x" * 60000):
                    refused = 0
                else:
                    refused += 1
                    await asyncio.sleep(0.02)
            waits = [asyncio.ensure_future(wait) for wait in (
                flow.send(b"x" * 60000), flow.send_many([b"x" * 60000]), flow.reserve(60000), one.send_many([(flow, b"x" * 60000, 0)]), flow.receive())]
            await asyncio.sleep(0.05)
            if end == "flow":
                await flow.close()
            else:
                one.close()
            results = await asyncio.wait_for(asyncio.gather(*waits, return_exceptions=True), 3)
            wanted = errors.StaleError if end == "flow" else errors.ShutdownError
            assert all(isinstance(result, wanted) for result in results), results
            listener.close()
    asyncio.run(inside())


# ---- Closing later

def test_a_listener_is_closed_again_after_a_timeout(own_engine):
    with machnet.Context(socket_path=own_engine.socket) as context, context.open_channel() as channel:
        listener = channel.open_listener(own_engine.address(7000))
        own_engine.signal(signal.SIGSTOP)
        try:
            with pytest.raises(errors.TimedOutError):
                listener.close()
        finally:
            own_engine.signal(signal.SIGCONT)
        listener.close()
        listener.close()
        with pytest.raises(errors.StaleError):
            listener.accept(0)
        end = time.monotonic() + 5
        while True:
            try:
                channel.open_listener(own_engine.address(7000)).close()
                break
            except errors.AddressInUseError:  # the workers still do what the first call asked for
                assert time.monotonic() < end


def test_a_cancelled_open_is_aborted_though_the_ring_was_full(own_engine):
    async def inside(context):
        async with aio.open_channel(context) as one, aio.open_channel(context) as two:
            listener = two.open_listener(own_engine.address(7000))
            other = await one.open_flow(listener.address)
            await listener.accept()
            own_engine.signal(signal.SIGSTOP)
            try:
                opening = asyncio.ensure_future(one.open_flow(listener.address))
                await asyncio.sleep(0.05)
                while other.try_send(b"x"):
                    pass
                opening.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await opening
            finally:
                own_engine.signal(signal.SIGCONT)
            accepted = await asyncio.wait_for(listener.accept(), 5)
            assert await asyncio.wait_for(accepted.wait_closed(), 3) == machnet.Status.ERESET
            while repr(one) != "<aio.Channel, 1 flows>":
                await asyncio.sleep(0.01)
            listener.close()
    with machnet.Context(socket_path=own_engine.socket) as context:
        asyncio.run(asyncio.wait_for(inside(context), 20))


def full_ring(monkeypatch, kind, times):
    """The ring to the engine is full for the next `times` closes."""
    left = [times]

    def try_close(flow, flags):
        left[0] -= 1
        return False if left[0] >= 0 else super(kind, flow)._try_close(flags)
    monkeypatch.setattr(kind, "_try_close", try_close, raising=False)


def test_what_nobody_accepted_is_aborted_though_the_ring_was_full(channels, where, monkeypatch):
    listener = channels[1].open_listener(where)
    flow = channels[0].open_flow(where, timeout=5)
    end = time.monotonic() + 5
    while not listener._accepted:
        assert time.monotonic() < end, "no news of the flow"
        with pytest.raises(BlockingIOError):
            channels[1].receive(0)
    full_ring(monkeypatch, machnet.Flow, 3)
    listener.close()
    assert flow.wait_closed(5) == machnet.Status.ERESET


def test_what_came_too_late_is_aborted_though_the_ring_was_full(channels, where, monkeypatch):
    listener = channels[1].open_listener(where)
    flow = channels[0].open_flow(where, timeout=5)
    channels[1]._listeners.clear()  # as if it had been closed when the news came
    full_ring(monkeypatch, machnet.Flow, 3)
    waits = Waits(lambda: channels[1].receive(3))
    assert flow.wait_closed(2) == machnet.Status.ERESET
    waits.end()
    listener.close()


# ---- Lost

def test_lost_channels_of_asyncio_are_collected(contexts, where):
    import gc
    import warnings

    async def inside():
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                channel = aio.open_channel(contexts[1])
                listener = channel.open_listener(where)
                flow = await channel.open_flow(where)
                await flow.send(b"x")
                del channel, listener, flow
                gc.collect()
                assert any(warning.category is ResourceWarning for warning in caught)
                caught.clear()
                gc.collect()
            await asyncio.sleep(0.01)  # the loop forgets it
            assert len(os.listdir("/proc/self/fd")) == before
    asyncio.run(inside())


def test_tasks_that_nobody_holds_live_while_they_wait(contexts, where):
    import gc

    async def serve(context):
        channel = aio.open_channel(context)
        async for flow in channel.open_listener(where):
            asyncio.ensure_future(answer(flow))

    async def answer(flow):
        async for message in flow:
            await flow.send(message.data)

    async def inside():
        asyncio.ensure_future(serve(contexts[1]))
        await asyncio.sleep(0.05)
        gc.collect()
        async with aio.open_channel(contexts[0]) as channel, await channel.open_flow(where) as flow:
            await asyncio.sleep(0.05)
            gc.collect()
            await flow.send(b"x")
            assert (await asyncio.wait_for(flow.receive(), 5)).data == b"x"
    asyncio.run(inside())
