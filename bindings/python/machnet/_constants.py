# SPDX-License-Identifier: MIT
"""Made from machnet.h by generate.sh: do not edit."""
from enum import IntEnum, IntFlag

ABI_VERSION = 65536
ADDRESS_TEXT_MAX = 64
ANY_FLOW = 0
MESSAGE_MAX = 8388608


class Status(IntEnum):
    OK = 0
    EAGAIN = -1
    EINVAL = -2
    ENOMEM = -3
    ENOTSUP = -4
    EVERSION = -5
    EFORKED = -6
    EINTR = -7
    ETIMEDOUT = -8
    ENOENGINE = -9
    EENGINEGONE = -10
    EACCES = -11
    EQUOTA = -12
    ESHUTDOWN = -13
    EPROTOCOL = -14
    EBADTOKEN = -15
    EMSGSIZE = -16
    EADDRINUSE = -17
    EADDRNOTAVAIL = -18
    EREFUSED = -19
    EUNREACHABLE = -20
    ECLOSED = -21
    ERESET = -22
    EPEERDEAD = -23
    EPEERRESTARTED = -24
    ESYSTEM = -25
    EPEERPROTOCOL = -26
    ELOWMEMORY = -27
    EPEERMSGSIZE = -28


class Option(IntEnum):
    SOCKET_PATH = 1
    NAME = 2
    SEND_BYTES = 3
    RECEIVE_BYTES = 4
    SPIN_NS = 5
    OPEN_TIMEOUT_NS = 6
    POLL = 7


class Poll(IntEnum):
    ADAPTIVE = 0
    SPIN = 1
    SLEEP = 2


class Wait(IntFlag):
    RECEIVE = 1
    EVENT = 2
    SEND = 4


class EventType(IntEnum):
    ESTABLISHED = 1
    ACCEPTED = 2
    CLOSED = 3
    SEND_SPACE = 4
    RECEIVE_STALLED = 5
    LISTENER_CLOSED = 6


class FlowState(IntEnum):
    OPENING = 1
    OPEN = 2
    ENDED = 3


class CloseFlags(IntFlag):
    ABORT = 1
