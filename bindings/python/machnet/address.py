# SPDX-License-Identifier: MIT
"""Addresses of flows and listeners."""
import ipaddress
from typing import Any, NamedTuple, Union

from . import errors
from ._constants import ADDRESS_TEXT_MAX, Status
from ._library import c_string, check, ffi, lib, text


class Address(NamedTuple):
    """An IP address and a flow port.

    ip    IPv4Address or IPv6Address; all zero: any address of the engine
    port  0 to 65535; 0 in a local address: the engine chooses
    """

    ip: Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
    port: int

    @classmethod
    def parse(cls, address: str) -> "Address":
        """Reads "10.0.0.2:7000", "[fd00::2]:7000" or ":7000" (any address). Raises ArgumentError."""
        return unpack(pack(address))

    def __str__(self) -> str:
        written = ffi.new("char[]", ADDRESS_TEXT_MAX)
        check(lib.machnet_address_format(pack(self), written, ADDRESS_TEXT_MAX))
        return text(written)


AddressLike = Union[str, Address]


def pack(address: AddressLike) -> Any:
    """A machnet_address *."""
    packed = ffi.new("machnet_address *")
    if isinstance(address, Address):
        ip = ipaddress.ip_address(address.ip)
        if not 0 <= address.port <= 65535:
            raise errors.from_status(Status.EINVAL, "a port is 0 to 65535, not %r" % (address.port,))
        packed.port = address.port
        any_address = ip.version == 4 and int(ip) == 0
        packed.ip = b"\0" * 16 if any_address else ip.packed if ip.version == 6 else b"\0" * 10 + b"\xff\xff" + ip.packed
    elif isinstance(address, str):
        if lib.machnet_address_parse(c_string(address), packed) < 0:
            raise errors.from_status(
                Status.EINVAL, '%r is no address: write it as "10.0.0.2:7000", "[fd00::2]:7000", or to listen ":7000"' % address)
    else:
        raise TypeError('an address is a str such as "10.0.0.2:7000", or an Address, not %s' % type(address).__name__)
    return packed


def pack_bytes(address: AddressLike) -> bytes:
    packed: bytes = ffi.buffer(pack(address))[:]
    return packed


def unpack(packed: Any) -> Address:
    raw = bytes(packed.ip)
    mapped = ipaddress.IPv6Address(raw).ipv4_mapped
    return Address(mapped if mapped is not None else ipaddress.IPv6Address(raw), packed.port)
