# SPDX-License-Identifier: MIT
"""Types that several modules name."""
import array
import mmap
from typing import Tuple, Union

from ._sides import FlowBase, Message

# What has bytes: the buffer protocol, which typing can name only from Python 3.12 on. Any other such object is fine at run time.
Buffer = Union[bytes, bytearray, memoryview, mmap.mmap, "array.array[int]"]

# What send_many of a flow takes, and of a channel.
Sendable = Union[Buffer, Tuple[Buffer, int], Message]
SendableAnywhere = Union[Tuple[FlowBase, Buffer, int], Message]

# An event as it was taken: type, status, token of a flow, token of a listener, value.
Taken = Tuple[int, int, int, int, int]
