# SPDX-License-Identifier: MIT
"""A throwaway client in Python: the header goes to cffi as it is, the channel's descriptor to asyncio.

It proves the shape of the ABI from a language without C; what it taught is in capi/ABI.md.
"""
import asyncio
import os
import subprocess
import threading
import time

import harness

try:
    import cffi
except ImportError:
    cffi = None

HEADER = os.path.join(harness.ROOT, "capi", "include", "machnet", "machnet.h")
BATCH, ARENA_BYTES = 32, 1 << 16


class Status(Exception):
    """A call answered with a negative status."""

    def __init__(self, library, status, message=""):
        super().__init__("%s: %s" % (library.name(status), message))
        self.status = status


class Library:
    """libmachnet through cffi's ABI mode: declarations from the header, no compiler at run time."""

    def __init__(self):
        if cffi is None:
            raise harness.Skip("python3-cffi is not installed")
        if harness.SANITIZED:
            raise harness.Skip("a sanitized library cannot be loaded into an ordinary Python")
        self.ffi = cffi.FFI()
        text = subprocess.run([os.environ.get("CC", "cc"), "-E", "-P", HEADER], check=True, capture_output=True, text=True).stdout
        # cffi knows the types of stdint.h itself: only what stands behind them is ours.
        self.ffi.cdef(text[text.index("enum {"):])
        self.c = self.ffi.dlopen(os.path.join(harness.BUILD, "lib", "libmachnet.so.1"))

    def name(self, status):
        return self.ffi.string(self.c.machnet_status_name(status)).decode()

    def check(self, status, error=None):
        if status < 0:
            raise Status(self, status, self.ffi.string(error.message).decode() if error else "")
        return status

    def open_channel(self, socket):
        ffi, c = self.ffi, self.c
        options, context, channel, error = (ffi.new("machnet_options **"), ffi.new("machnet_context **"),
                                            ffi.new("machnet_channel **"), ffi.new("machnet_error *"))
        self.check(c.machnet_options_new(options))
        self.check(c.machnet_options_set_str(options[0], c.MACHNET_OPTION_SOCKET_PATH, socket.encode()))
        try:
            self.check(c.machnet_context_open(c.MACHNET_ABI_VERSION, options[0], context, error), error)
            try:
                self.check(c.machnet_channel_open(context[0], ffi.NULL, channel, error), error)
            finally:
                c.machnet_context_unref(context[0])
        finally:
            c.machnet_options_free(options[0])
        return Channel(self, channel[0])


class Channel:
    """Reads until MACHNET_EAGAIN whenever the loop says that the descriptor is readable."""

    def __init__(self, library, handle):
        self.library, self.ffi, self.c, self.handle = library, library.ffi, library.c, handle
        self.records = self.ffi.new("machnet_record[]", BATCH)
        self.events = self.ffi.new("machnet_event[]", BATCH)
        self.arena = self.ffi.new("uint8_t[]", ARENA_BYTES)
        self.bytes = self.ffi.buffer(self.arena)
        self.error = self.ffi.new("machnet_error *")
        self.messages, self.told, self.gone = asyncio.Queue(), asyncio.Queue(), asyncio.get_running_loop().create_future()
        self.readable_calls = 0
        self.fd = library.check(self.c.machnet_channel_fd(handle))
        asyncio.get_running_loop().add_reader(self.fd, self.on_readable)

    def close(self):
        asyncio.get_running_loop().remove_reader(self.fd)
        self.library.check(self.c.machnet_channel_shutdown(self.handle))
        self.c.machnet_channel_unref(self.handle)

    def on_readable(self):
        self.readable_calls += 1
        status = self.take_messages()
        if status == self.c.MACHNET_EAGAIN:
            status = self.take_events()
        if status != self.c.MACHNET_EAGAIN:
            asyncio.get_running_loop().remove_reader(self.fd)
            self.gone.set_result(status)

    def take_messages(self):
        while True:
            count = self.c.machnet_recv_packed(self.handle, self.c.MACHNET_ANY_FLOW, self.records, BATCH, self.arena, ARENA_BYTES, 0)
            if count < 0:
                return count
            for record in self.records[0:count]:
                self.messages.put_nowait((record.flow, record.tag, self.bytes[record.offset:record.offset + record.length]))

    def take_events(self):
        while True:
            count = self.c.machnet_channel_events(self.handle, self.events, BATCH, 0)
            if count < 0:
                return count
            for event in self.events[0:count]:
                self.told.put_nowait((event.type, event.status, event.flow))

    def listen(self, text):
        """Returns the address as text, with the port that the engine chose where `text` has 0."""
        address, token = self.ffi.new("machnet_address *"), self.ffi.new("uint64_t *")
        self.library.check(self.c.machnet_address_parse(text.encode(), address))
        self.library.check(self.c.machnet_listener_open(self.handle, address, self.ffi.NULL, token, self.error), self.error)
        self.library.check(self.c.machnet_listener_address(self.handle, token[0], address))
        bound = self.ffi.new("char[]", self.c.MACHNET_ADDRESS_TEXT_MAX)
        self.library.check(self.c.machnet_address_format(address, bound, len(bound)))
        return self.ffi.string(bound).decode()

    def open(self, text):
        address, token = self.ffi.new("machnet_address *"), self.ffi.new("uint64_t *")
        self.library.check(self.c.machnet_address_parse(text.encode(), address))
        self.library.check(self.c.machnet_flow_open(self.handle, self.ffi.NULL, address, self.ffi.NULL, 0, token, self.error),
                           self.error)
        return token[0]

    async def expect(self, kind, flow=None):
        """The next event, which must be of this kind; SEND_SPACE after a batch that went out in part is passed over."""
        event = await asyncio.wait_for(self.told.get(), 10)
        while event[0] == self.c.MACHNET_EVENT_SEND_SPACE != kind:
            event = await asyncio.wait_for(self.told.get(), 10)
        assert event[0] == kind and flow in (None, event[2]), event
        return event

    async def send(self, flow, messages):
        """Sends [(tag, bytes)], BATCH in a call; waits for space as often as need be."""
        at = 0
        while at < len(messages):
            records, arena = [], bytearray()
            for tag, data in messages[at:at + BATCH]:
                records.append((flow, tag, len(arena), len(data)))
                arena += data
            count = self.c.machnet_send_packed(self.handle, self.ffi.new("machnet_record[]", records), len(records),
                                               self.ffi.from_buffer(arena), len(arena), 0)
            if count == self.c.MACHNET_EAGAIN:
                await self.expect(self.c.MACHNET_EVENT_SEND_SPACE, flow)
            else:
                at += self.library.check(count)


def run(body):
    """Runs body(library, channel on engine 1, channel on engine 2, engines) in a loop of its own."""
    library = Library()

    async def inside(engines):
        one, two = library.open_channel(engines[0].socket), library.open_channel(engines[1].socket)
        try:
            await asyncio.wait_for(body(library, one, two, engines), 60)
        finally:
            one.close()
            two.close()

    with harness.two_engines() as engines:
        asyncio.run(inside(engines))


def test_messages_there_and_back():
    async def body(library, one, two, engines):
        c = library.c
        where = two.listen(engines[1].address(0))
        assert where.rpartition(":")[0] == engines[1].address(0).rpartition(":")[0] and not where.endswith(":0"), where
        flow = one.open(where)
        await one.expect(c.MACHNET_EVENT_ESTABLISHED, flow)
        accepted = (await two.expect(c.MACHNET_EVENT_ACCEPTED))[2]
        sent = [(i, bytes([i % 251]) * (i % 1500)) for i in range(5000)]

        async def echo():
            for _ in sent:
                _, tag, data = await two.messages.get()
                await two.send(accepted, [(tag, data)])

        async def check():
            for wanted in sent:
                token, tag, data = await asyncio.wait_for(one.messages.get(), 20)
                assert (token, tag, data) == (flow, *wanted), (tag, len(data))

        await asyncio.gather(one.send(flow, sent), echo(), check())
        library.check(c.machnet_flow_close(one.handle, flow, 0))
        assert (await one.expect(c.MACHNET_EVENT_CLOSED, flow))[1] == c.MACHNET_OK
        assert (await two.expect(c.MACHNET_EVENT_CLOSED, accepted))[1] == c.MACHNET_ECLOSED
        library.check(c.machnet_flow_close(two.handle, accepted, 0))
    run(body)


def test_an_idle_loop_sleeps():
    async def body(library, one, two, engines):
        two.listen(engines[1].address(7000))
        flow = one.open(engines[1].address(7000))
        await one.expect(library.c.MACHNET_EVENT_ESTABLISHED, flow)
        await two.expect(library.c.MACHNET_EVENT_ACCEPTED)
        await asyncio.sleep(0.1)
        calls, cpu = one.readable_calls, time.process_time()
        await asyncio.sleep(0.5)
        assert one.readable_calls == calls, "the descriptor stays readable though nothing comes"
        assert time.process_time() - cpu < 0.1
    run(body)


def test_wake_from_a_thread():
    async def body(library, one, two, engines):
        await asyncio.sleep(0.05)
        calls = one.readable_calls
        thread = threading.Thread(target=lambda: library.check(library.c.machnet_channel_wake(one.handle)))
        thread.start()
        end = time.monotonic() + 5
        while one.readable_calls == calls and time.monotonic() < end:
            await asyncio.sleep(0.01)
        thread.join()
        assert one.readable_calls > calls
        await asyncio.sleep(0.05)
        calls = one.readable_calls
        await asyncio.sleep(0.2)
        assert one.readable_calls == calls, "the wake does not go away"
    run(body)


def test_the_engine_ends():
    library = Library()

    async def inside(engine):
        channel = library.open_channel(engine.socket)
        await asyncio.sleep(0.05)
        engine.kill()
        assert await asyncio.wait_for(channel.gone, 5) == library.c.MACHNET_EENGINEGONE
        channel.c.machnet_channel_unref(channel.handle)

    engine = harness.Engine(harness.NET + ".2")
    asyncio.run(inside(engine))
    engine.clean_up()


def test_errors_are_sentences():
    library = Library()

    async def inside():
        try:
            library.open_channel("/tmp/no-engine-here")
        except Status as problem:
            assert problem.status == library.c.MACHNET_ENOENGINE
            assert "no engine answers on /tmp/no-engine-here" in str(problem), problem
        else:
            raise AssertionError("a channel on no engine")

    asyncio.run(inside())


harness.main(globals())
