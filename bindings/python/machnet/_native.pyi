# SPDX-License-Identifier: MIT
"""What cffi makes of machnet.cdef.h. Its functions are named in it."""
from typing import Any

ffi: Any
lib: Any
