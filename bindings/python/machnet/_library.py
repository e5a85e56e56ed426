# SPDX-License-Identifier: MIT
"""The compiled part: loads it, holds its version against ours, and makes exceptions of what it answers."""
import importlib.machinery
import importlib.util
import sys
from types import ModuleType
from typing import Any, Optional

from . import _constants, _native, errors

ffi: Any = _native.ffi
lib: Any = _native.lib


def _load_sides() -> ModuleType:
    """machnet._sides lies in the same shared object as machnet._native: both use one copy of the client library."""
    name = __package__ + "._sides"
    loader = importlib.machinery.ExtensionFileLoader(name, _native.__file__)
    spec = importlib.util.spec_from_file_location(name, _native.__file__, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    sys.modules[name] = module
    return module


def check_version(built: int, found: int) -> None:
    """A binding built against 1.x works with any library 1.y, y >= x; while the major version is 0, the minor must be equal.

    Versions are major << 16 | minor. Raises VersionError.
    """
    built_major, built_minor = built >> 16, built & 0xFFFF
    major, minor = found >> 16, found & 0xFFFF
    if major == built_major and (minor == built_minor or major > 0 and minor > built_minor):
        return
    raise errors.VersionError(
        "this binding was built for version %d.%d of the ABI of libmachnet, and the library has %d.%d: install a library and a binding "
        "of one release" % (built_major, built_minor, major, minor), _constants.Status.EVERSION)


def text(pointer: Any) -> str:
    string: bytes = ffi.string(pointer)
    return string.decode("utf-8", "replace")


def c_string(value: str) -> bytes:
    """The text for C, which ends at a NUL. Raises ValueError."""
    if "\0" in value:
        raise ValueError("a NUL within %r" % value)
    return value.encode()


def check(status: int, error: Optional[Any] = None) -> int:
    """The status, if it is none of an error. `error` is the machnet_error of a control call."""
    if status >= 0:
        return status
    message = text(error.message) if error is not None else ""
    raise errors.from_status(status, message, os_error=error.os_error if error is not None else 0)


def _raise(status: int, value: int, of_flow: int, words: str) -> None:
    raise errors.from_status(status, words, length=value, of_flow=bool(of_flow))


_sides = _load_sides()
_sides.set_raiser(_raise)
check_version(_constants.ABI_VERSION, lib.machnet_abi_version())
errors.status_text = lambda status: text(lib.machnet_status_text(status))
errors.status_name = lambda status: text(lib.machnet_status_name(status))
