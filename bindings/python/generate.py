# SPDX-License-Identifier: MIT
"""Makes cffi's declarations and Python's enums from machnet.h: generate.py HEADER DIRECTORY."""
import re
import sys
from pathlib import Path

# Enums of the header that are enums in Python: name there, name here, kind.
ENUMS = [
    ("machnet_status", "Status", "IntEnum"),
    ("machnet_option", "Option", "IntEnum"),
    ("machnet_poll", "Poll", "IntEnum"),
    ("machnet_wait", "Wait", "IntFlag"),
    ("machnet_event_type", "EventType", "IntEnum"),
    ("machnet_flow_state", "FlowState", "IntEnum"),
    ("machnet_close_flags", "CloseFlags", "IntFlag"),
]
PREFIXES = {"Status": "MACHNET_", "CloseFlags": "MACHNET_CLOSE_", "EventType": "MACHNET_EVENT_", "FlowState": "MACHNET_FLOW_",
            "Option": "MACHNET_OPTION_", "Poll": "MACHNET_POLL_", "Wait": "MACHNET_WAIT_"}


def declarations(header: str) -> str:
    """The header without comments, without preprocessor lines, and without what only C++ sees."""
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    text = re.sub(r"#ifdef __cplusplus.*?#endif", "", text, flags=re.S)
    text = re.sub(r"^\s*#.*$", "", text, flags=re.M)
    text = re.sub(r"[ \t]+$", "", text, flags=re.M)
    return re.sub(r"\n{2,}", "\n\n", text).strip() + "\n"


def members(body: str) -> "list[tuple[str, int]]":
    return [(name, int(value, 0)) for name, value in re.findall(r"(\w+)\s*=\s*(-?\w+)", body)]


def python_enum(name: str, kind: str, values: "list[tuple[str, int]]") -> str:
    prefix = PREFIXES[name]
    lines = ["class %s(%s):" % (name, kind)]
    lines += ["    %s = %d" % (key[len(prefix):], value) for key, value in values]
    return "\n".join(lines)


def constants(cdef: str) -> str:
    named = dict(re.findall(r"enum (\w+) \{(.*?)\};", cdef, flags=re.S))
    unnamed = re.findall(r"enum \{(.*?)\};", cdef, flags=re.S)
    missing = set(named) - {name for name, _, _ in ENUMS}
    if missing:
        sys.exit("generate.py: enums that Python does not know: %s" % ", ".join(sorted(missing)))
    blocks = [python_enum(python, kind, members(named[name])) for name, python, kind in ENUMS]
    plain = ["%s = %d" % (key[len("MACHNET_"):], value) for body in unnamed for key, value in members(body)]
    return "\n\n\n".join(['# SPDX-License-Identifier: MIT\n"""Made from machnet.h by generate.sh: do not edit."""\n'
                          "from enum import IntEnum, IntFlag\n\n" + "\n".join(plain), *blocks]) + "\n"


def main() -> None:
    header, directory = Path(sys.argv[1]), Path(sys.argv[2])
    cdef = declarations(header.read_text(encoding="utf-8"))
    first = "/* SPDX-License-Identifier: MIT */\n/* Made from machnet.h by generate.sh: do not edit. */\n"
    (directory / "machnet.cdef.h").write_text(first + cdef, encoding="utf-8")
    (directory / "machnet" / "_constants.py").write_text(constants(cdef), encoding="utf-8")


main()
