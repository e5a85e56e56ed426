# SPDX-License-Identifier: MIT
"""What pyproject.toml cannot say: the extension. Runs in the top directory (build_backend.py)."""
import os
import re
import sys

from setuptools import setup
from setuptools.command.egg_info import manifest_maker

with open("CMakeLists.txt", encoding="utf-8") as file:
    version = re.search(r"project\(machnet VERSION ([0-9.]+)", file.read()).group(1)

# A source tree has one top-level file of Python's: pyproject.toml.
manifest_maker.template = os.path.join("bindings", "python", "MANIFEST.in")
# With Python 3.11 the limited API has all that the extension uses: one wheel for it and what comes after.
limited = sys.version_info >= (3, 11)

setup(
    version=version,
    cffi_modules=["bindings/python/build_extension.py:builder"],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if limited else {},
)
