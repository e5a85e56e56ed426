# SPDX-License-Identifier: MIT
"""The extension machnet._native: cffi's layer, the fast path (src/), and the whole client library. Nothing of it is visible to others."""
import glob
import os
import re
import sys

import cffi

with open("CMakeLists.txt", encoding="utf-8") as file:
    version = re.search(r"project\(machnet VERSION ([0-9.]+)", file.read()).group(1)
with open(os.path.join("bindings", "python", "machnet.cdef.h"), encoding="utf-8") as file:
    cdef = file.read()

builder = cffi.FFI()
builder.cdef(cdef)
builder.set_source(
    "machnet._native",
    "#include <machnet/machnet.h>",
    sources=sorted(glob.glob("capi/client/*.c") + glob.glob("capi/channel/*.c") + glob.glob("bindings/python/src/*.c")),
    depends=glob.glob("capi/*/*.h") + glob.glob("capi/include/machnet/*.h") + glob.glob("bindings/python/src/*.h"),
    include_dirs=["capi/include", "capi"],
    define_macros=[("_GNU_SOURCE", None), ("MACHNET_PACKAGE_VERSION", '"%s"' % version)],
    extra_compile_args=["-std=c11", "-O2", "-fvisibility=hidden", "-pthread"],
    extra_link_args=["-pthread"],
    py_limited_api=sys.version_info >= (3, 11),  # as src/sides.h
)
