# SPDX-License-Identifier: MIT
"""What machnet.h declares, as a compiler sees it: sizes, offsets, numbers, signatures. And libraries made of changed copies of the tree."""
import glob
import os
import re
import shutil
import subprocess
import tempfile

import cffi

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("MACHNET_BUILD") or os.path.join(ROOT, "build", "release")
CC = os.environ.get("CC") or "cc"
FFI_TYPES = {"int32_t": "sint32", "uint32_t": "uint32", "int64_t": "sint64", "uint64_t": "uint64", "void": "void"}


def run(*command, **keywords):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **keywords)
    assert done.returncode == 0, "%s\n%s%s" % (" ".join(command), done.stdout, done.stderr)
    return done.stdout


class Header:
    def __init__(self, path):
        self.path = path
        text = run(CC, "-E", "-P", path)
        self.text = text[text.index("enum {"):]  # cffi knows the types of stdint.h itself
        self.ffi = cffi.FFI()
        self.ffi.cdef(self.text)

    def functions(self):
        """(name, result, parameters) in C's words, in the order of the header."""
        declared = re.findall(r"([a-z_0-9 ]+?[ *]+)(machnet_\w+)\(([^)]*)\);", self.text)
        return [(name, result.strip(), [re.sub(r"\s*\b\w+$", "", one.strip()) for one in parameters.split(",") if one.strip() != "void"])
                for result, name, parameters in declared]

    def structs(self):
        typedefs = self.ffi.list_types()[0]
        types = [self.ffi.typeof(name) for name in typedefs]
        return [(one.cname, [name for name, _ in one.fields]) for one in types if one.kind == "struct" and one.fields is not None]

    def enumerators(self):
        return re.findall(r"\b(MACHNET_\w+) =", self.text)

    def layout(self):
        """Lines of text, the same for every ABI that is the same, said by the compiler."""
        prints = []
        for struct, fields in self.structs():
            prints.append('printf("%s: %%zu bytes, aligned to %%zu\\n", sizeof(%s), _Alignof(%s));' % ((struct,) * 3))
            for field in fields:
                prints.append('printf("%s.%s: at %%zu, %%zu bytes\\n", offsetof(%s, %s), sizeof(((%s *)0)->%s));'
                              % ((struct, field) * 3))
        prints += ['printf("%s = %%" PRId64 "\\n", (int64_t)%s);' % (name, name) for name in self.enumerators()]
        with tempfile.TemporaryDirectory() as scratch:
            program = os.path.join(scratch, "layout")
            with open(program + ".c", "w", encoding="ascii") as file:
                file.write('#include <inttypes.h>\n#include <stddef.h>\n#include <stdio.h>\n#include "%s"\nint main(void) {\n%s\n}\n'
                           % (self.path, "\n".join(prints)))
            run(CC, "-std=c11", "-o", program, program + ".c")
            return run(program)

    def signatures(self):
        """A line for each function: its name, its result and its parameters in libffi's words."""
        def ffi_type(c_type):
            return "pointer" if "*" in c_type else FFI_TYPES[c_type]
        return "".join("%s %s\n" % (name, " ".join(map(ffi_type, [result, *parameters])))
                       for name, result, parameters in self.functions())


def changed_tree(directory, *changes):
    """A copy of the tree's sources in `directory`, in which (file, old text, new text) are changed."""
    for name in ("capi", "engine", "bindings", "examples", ".cmake"):
        shutil.copytree(os.path.join(ROOT, name), os.path.join(directory, name), dirs_exist_ok=True)
    shutil.copy(os.path.join(ROOT, "CMakeLists.txt"), directory)
    for name, old, new in changes:
        path = os.path.join(directory, name)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        assert text.count(old) == 1, "%s: %d times: %s" % (name, text.count(old), old)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(old, new))
    return directory


def build_library(tree, directory):
    """libmachnet.so.1 of that tree, in `directory`."""
    capi = os.path.join(tree, "capi")
    sources = glob.glob(os.path.join(capi, "client", "*.c")) + glob.glob(os.path.join(capi, "channel", "*.c"))
    library = os.path.join(directory, "libmachnet.so.1")
    run(CC, "-std=c11", "-D_GNU_SOURCE", '-DMACHNET_PACKAGE_VERSION="0.0.1"', "-g", "-O1", "-fPIC", "-fvisibility=hidden", "-shared",
        "-I" + capi, "-I" + os.path.join(capi, "include"), "-include", os.path.join(capi, "client", "visibility.h"), *sources,
        "-Wl,-soname,libmachnet.so.1,--version-script=" + os.path.join(capi, "machnet.map"), "-o", library, "-pthread")
    return library
