# SPDX-License-Identifier: MIT
"""What several tests do."""
import threading
import time


def fill(flow, data=b"x" * 60000):
    """Sends until there is no space for good: neither in the send arena, nor with the receiver, who does not read."""
    count, refused = 0, 0
    while refused < 10:
        if flow.try_send(data, count):
            count, refused = count + 1, 0
        else:
            refused += 1
            time.sleep(0.02)
    return count


def run(*functions):
    """Each on a thread of its own; all end, and none raises."""
    problems = []

    def guard(function):
        try:
            function()
        except BaseException as problem:  # pylint: disable=broad-except
            problems.append(problem)
    threads = [threading.Thread(target=guard, args=(function,), daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert problems == []


class Waits:
    """Calls that wait, each on a thread of its own, and the exceptions that ended them."""

    def __init__(self, *calls):
        self._ended = []
        self._threads = [threading.Thread(target=self._wait, args=(call,), daemon=True) for call in calls]
        for thread in self._threads:
            thread.start()
        time.sleep(0.1)

    def _wait(self, call):
        try:
            call()
            self._ended.append(None)
        except Exception as problem:  # pylint: disable=broad-except
            self._ended.append(problem)

    def end(self, seconds=3):
        """What ended each, in any order; all must have ended by now."""
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        assert not any(thread.is_alive() for thread in self._threads), "%d of %d still wait" % (
            sum(thread.is_alive() for thread in self._threads), len(self._threads))
        return self._ended
