# SPDX-License-Identifier: MIT
"""setuptools as pip calls it, with setup.py in this folder instead of the top of the tree."""
from setuptools import build_meta


class Backend(build_meta._BuildMetaBackend):  # pylint: disable=protected-access
    def run_setup(self, setup_script="bindings/python/setup.py"):
        super().run_setup(setup_script)


_backend = Backend()
get_requires_for_build_wheel = _backend.get_requires_for_build_wheel
get_requires_for_build_sdist = _backend.get_requires_for_build_sdist
prepare_metadata_for_build_wheel = _backend.prepare_metadata_for_build_wheel
build_wheel = _backend.build_wheel
build_sdist = _backend.build_sdist
