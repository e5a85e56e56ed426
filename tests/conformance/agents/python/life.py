# SPDX-License-Identifier: MIT
"""Operations on contexts, channels, listeners and flows."""
import gc
import threading
import time
import weakref

import machnet

from objects import timeout

KEPT = weakref.WeakKeyDictionary()  # events by channel


def deadline(request):
    seconds = timeout(request)
    return None if seconds is None else time.monotonic() + seconds


def hello(objects, request):
    return {"language": "python", "library": machnet.__version__}


def reset(objects, request):
    objects.reset(request.get("keep", []))


def lose(objects, request):
    objects.lose(request["names"])


def collect(objects, request):
    gc.collect()


def open_context(objects, request):
    objects.put("context", request["context"], machnet.Context(socket_path=request["socket"]))


def status(objects, request):
    return {"status": objects.get("context", request["context"]).status()}


def close_context(objects, request):
    objects.get("context", request["context"]).close()


def open_channel(objects, request):
    context = objects.get("context", request["context"])
    poll = machnet.Poll[request["poll"].upper()] if "poll" in request else None
    options = machnet.Options(name=request.get("name"), send_bytes=request.get("send_bytes"), receive_bytes=request.get("receive_bytes"),
                              poll=poll, spin_ns=request.get("spin_ns"), more={request["option"]: 1} if "option" in request else {})
    channel = context.open_channel(options)
    channel.try_events()  # begins to keep them
    objects.put("channel", request["channel"], channel, request["context"])


def channel_of(objects, request):
    return objects.get("channel", request["channel"])


def shutdown(objects, request):
    channel_of(objects, request).shutdown()


def close_channel(objects, request):
    channel_of(objects, request).close()


def stats(objects, request):
    return {"stats": channel_of(objects, request).stats()}


def wake(objects, request):
    channel_of(objects, request).wake()


def wait(objects, request):
    channel = channel_of(objects, request)
    mask = machnet.Wait(0)
    for name in request.get("for", ["receive", "event"]):
        mask |= machnet.Wait[name.upper()]
    timers = []
    for key, call in (("wake_after_ms", channel.wake), ("shutdown_after_ms", channel.shutdown)):
        if key in request:
            timers.append(threading.Timer(request[key] / 1000, call))
            timers[-1].start()
    try:
        held = channel.wait(mask, timeout(request))
    finally:
        for timer in timers:
            timer.join()
    return {"ready": [bit.name.lower() for bit in (machnet.Wait.RECEIVE, machnet.Wait.EVENT, machnet.Wait.SEND) if bit & held]}


def listen(objects, request):
    listener = channel_of(objects, request).open_listener(request["address"])
    objects.put("listener", request["listener"], listener, request["channel"])
    return {"address": str(listener.address)}


def kept_events(channel):
    """What the channel told and nobody has asked for: also flows, which accept() does not give any more then."""
    kept = KEPT.setdefault(channel, [])
    kept += channel.try_events()
    return kept


def accept(objects, request):
    listener = objects.get("listener", request["listener"])
    for event in KEPT.get(listener.channel, []):
        if event.type == machnet.EventType.ACCEPTED and event.listener is listener:
            KEPT[listener.channel].remove(event)
            flow = event.flow
            break
    else:
        flow = listener.accept(timeout(request))
    objects.put("flow", request["flow"], flow, objects.things[request["listener"]].parent)


def close_listener(objects, request):
    objects.get("listener", request["listener"]).close()


def flow_options(request):
    options = None
    if "open_timeout_ms" in request:
        options = machnet.Options(open_timeout_ns=int(request["open_timeout_ms"] * 1_000_000))
    return {"local": request.get("local"), "options": options}


def open_flow(objects, request):
    flow = channel_of(objects, request).open_flow(request["remote"], timeout=timeout(request), **flow_options(request))
    objects.put("flow", request["flow"], flow, request["channel"])


def start_flow(objects, request):
    objects.put("flow", request["flow"], channel_of(objects, request).start_flow(request["remote"], **flow_options(request)), request["channel"])


def flow_of(objects, request):
    return objects.get("flow", request["flow"])


def status_text(status):
    return "MACHNET_" + machnet.Status(status).name


def wait_open(objects, request):
    flow_of(objects, request).wait_open(timeout(request))


def wait_closed(objects, request):
    return {"status": status_text(flow_of(objects, request).wait_closed(timeout(request)))}


def wait_send_space(objects, request):
    flow_of(objects, request).wait_space(timeout(request))


def wait_stalled(objects, request):
    channel, end = channel_of(objects, request), deadline(request)
    while True:
        for event in kept_events(channel):
            if event.type == machnet.EventType.RECEIVE_STALLED:
                KEPT[channel].remove(event)
                return {"flow": objects.name(event.flow), "value": event.value}
        KEPT[channel] += channel.events(None if end is None else max(0.0, end - time.monotonic()))


def addresses(objects, request):
    local, remote = flow_of(objects, request).addresses()
    return {"local": str(local), "remote": str(remote)}


def info(objects, request):
    known = flow_of(objects, request).info()._asdict()
    return {**known, "state": known["state"].name, "status": status_text(known["status"])}


def close_flow(objects, request):
    flow_of(objects, request).close(abort=request.get("abort", False))


def events(objects, request):
    kept = kept_events(channel_of(objects, request))
    told = [{"type": event.type.name, "flow": objects.name(event.flow), "status": status_text(event.status)} for event in kept]
    kept.clear()
    return {"events": told}


OPERATIONS = {function.__name__: function for function in (
    hello, reset, lose, collect, open_context, status, close_context, open_channel, shutdown, close_channel, stats, wake, wait, listen, accept,
    close_listener, open_flow, start_flow, wait_open, wait_closed, wait_send_space, wait_stalled, addresses, info, close_flow, events)}
