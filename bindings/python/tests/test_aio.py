# SPDX-License-Identifier: MIT
"""The same for asyncio: nothing is lost by cancellation, and an idle loop sleeps."""
import asyncio
import os
import random
import time

import machnet
import pytest
from machnet import aio, errors


@pytest.fixture
def play(contexts, where):
    """Runs body(one, two, flow, accepted) in a loop of its own."""
    def run(body):
        async def inside():
            async with aio.open_channel(contexts[0]) as one, aio.open_channel(contexts[1]) as two:
                async with two.open_listener(where) as listener:
                    flow = await one.open_flow(where)
                    accepted = await listener.accept()
                await asyncio.wait_for(body(one, two, flow, accepted), 60)
        asyncio.run(inside())
    return run


def test_there_and_back(play):
    async def body(one, two, flow, accepted):
        sent = [(os.urandom(tag % 2000), tag) for tag in range(3000)]

        async def echo():
            async for message in accepted:
                await accepted.send(message.data, message.tag)
            await accepted.close()

        async def check():
            for data, tag in sent:
                message = await flow.receive()
                assert (message.data, message.tag) == (data, tag)
            await flow.close()
        await asyncio.gather(flow.send_many(sent), echo(), check())
        assert await flow.wait_closed() == machnet.Status.OK
        assert await accepted.wait_closed() == machnet.Status.ECLOSED
    play(body)


def test_cancelled_waits_lose_nothing(play):
    async def body(one, two, flow, accepted):
        count, received, cancelled = 1000, [], 0
        random.seed(2)

        async def send():
            for tag in range(count):
                await flow.send(b"x", tag)
                await asyncio.sleep(random.random() * 0.0005)
        sender = asyncio.ensure_future(send())
        while len(received) < count or cancelled < 1000:
            task = asyncio.ensure_future(accepted.receive())
            await asyncio.sleep(random.random() * 0.0002)
            task.cancel()
            try:
                received.append((await task).tag)
            except asyncio.CancelledError:
                cancelled += 1
        await sender
        assert received == list(range(count))
    play(body)


def test_many_wait_for_one_flow(play):
    async def body(one, two, flow, accepted):
        tasks = [asyncio.ensure_future(accepted.receive()) for _ in range(20)]
        await asyncio.sleep(0.02)
        tasks[3].cancel()
        await flow.send_many([(b"", tag) for tag in range(19)])
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert sorted(result.tag for result in results if isinstance(result, machnet.Message)) == list(range(19))
    play(body)


def test_many_flows(play, where):
    async def body(one, two, flow, accepted):
        async def serve(server):
            async for message in server:
                await server.send(message.data, message.tag)
            await server.close()

        async def client(address, number):
            async with await one.open_flow(address) as mine:
                for tag in range(20):
                    await mine.send(b"%d" % number, tag)
                    message = await mine.receive()
                    assert (message.data, message.tag, message.flow) == (b"%d" % number, tag, mine)
        async with two.open_listener(where) as listener:
            async def accept():
                async for server in listener:
                    servers.append(asyncio.ensure_future(serve(server)))
            servers = []
            accepting = asyncio.ensure_future(accept())
            await asyncio.gather(*[client(listener.address, number) for number in range(100)])
            await asyncio.gather(*servers)
            accepting.cancel()
    play(body)


def test_backpressure(play):
    async def body(one, two, flow, accepted):
        sent = refused = 0
        while refused < 10:  # until there is no space for good
            if flow.try_send(b"x" * 60000, sent):
                sent, refused = sent + 1, 0
            else:
                refused += 1
                await asyncio.sleep(0.02)
        task = asyncio.ensure_future(flow.send(b"y" * 60000, sent))
        await asyncio.sleep(0.05)
        assert not task.done()
        for tag in range(sent + 1):
            assert (await accepted.receive()).tag == tag
        await task
    play(body)


def test_an_idle_loop_sleeps_also_with_unread_messages(play):
    async def body(one, two, flow, accepted):
        await flow.send_many([b"unread"] * 10)
        second = asyncio.ensure_future(flow.receive())
        await asyncio.sleep(0.1)
        cpu = time.process_time()
        await asyncio.sleep(0.5)
        assert time.process_time() - cpu < 0.1
        await accepted.send(b"on")
        assert (await second).data == b"on"
    play(body)


def test_zero_copy(play):
    async def body(one, two, flow, accepted):
        buffer = await flow.reserve(3)
        buffer.data[:] = b"abc"
        await flow.commit(buffer, tag=9)
        with await accepted.borrow() as message:
            assert message.data == b"abc" and message.tag == 9
        await accepted.send(b"any")
        assert (await one.receive()).flow is flow
    play(body)


def test_refused_reset_closed(play, where):
    async def body(one, two, flow, accepted):
        with pytest.raises(errors.FlowRefusedError):
            await one.open_flow(where)
        waiting = asyncio.ensure_future(accepted.receive())
        await asyncio.sleep(0.01)
        await flow.close(abort=True)
        with pytest.raises(errors.FlowResetError):
            await waiting
        with pytest.raises(errors.StaleError):
            await flow.receive()
    play(body)


def test_close_ends_waits(play, where):
    async def body(one, two, flow, accepted):
        listener = two.open_listener(where)
        waits = [asyncio.ensure_future(wait) for wait in (accepted.receive(), two.receive(), two.events(), listener.accept(), accepted.wait_closed())]
        await asyncio.sleep(0.05)
        two.close()
        results = await asyncio.gather(*waits, return_exceptions=True)
        assert all(isinstance(result, machnet.MachnetError) for result in results), results
    play(body)


def test_engine_gone(own_engine):
    async def inside():
        with machnet.Context(socket_path=own_engine.socket) as context:
            async with aio.open_channel(context) as channel:
                listener = channel.open_listener(own_engine.address(7000))
                flow = await channel.open_flow(listener.address)
                waits = [asyncio.ensure_future(wait) for wait in (flow.receive(), listener.accept(), flow.wait_closed(), channel.events())]
                await asyncio.sleep(0.05)
                own_engine.kill()
                results = await asyncio.wait_for(asyncio.gather(*waits, return_exceptions=True), 5)
                assert isinstance(results[0], errors.EngineGoneError) and isinstance(results[2], errors.EngineGoneError), results
    asyncio.run(inside())
