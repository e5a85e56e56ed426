#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What `machnet status` shows of programs that choose their own names."""
import harness
from harness import Engine, NET, machnet, serve

# A program's name and what is shown of it: what is no character, or would do something to a terminal, is '?'.
NAMES = [
    ("größe".encode(), "größe"),
    ("サーバー".encode(), "サーバー"),
    (b"a\x1b[31mb\x07\x7f", "a?[31mb??"),
    ("c\u009b31m\u202ed".encode(), "c?31m?d"),
    (b"latin-\xe9\x9b1", "latin-??1"),
    (("ä" * 20).encode(), "ä" * 15),  # 31 bytes and a half
]


def program_named(engine, name, port):
    return serve(engine, port, wrapper=["bash", "-c", 'exec -a "$0" "$@"', name])


def rows(text):
    """The names in the table of channels, as they stand there, with what fills them up."""
    table = text.split("\nchannel ")[1].split("\n\n")[0].splitlines()[1:]
    return [line[18:].rsplit(maxsplit=6)[0] for line in table], table


def test_names():
    with Engine(NET + ".2") as engine:
        servers = [program_named(engine, name, 7000 + i) for i, (name, _) in enumerate(NAMES)]
        shown = [text for _, text in NAMES]

        status = engine.status()
        assert [channel["name"] for channel in status["channels"]] == shown, status["channels"]
        assert sorted(application["name"] for application in status["applications"]) == sorted(shown), status["applications"]
        raw = machnet(engine, "status", "--json", text=False).stdout
        assert all(32 <= byte < 127 or byte == 10 for byte in raw), raw

        unicode = harness.run_program("machnet", "status", env={**engine.env(), "LC_ALL": "C.UTF-8"})
        names, table = rows(unicode.stdout)
        assert [name.rstrip() for name in names] == shown, unicode.stdout
        ends = {len(line) + line.count("サーバー") * 4 for line in table}  # these are two columns wide
        assert len(ends) == 1, unicode.stdout

        ascii_only = harness.run_program("machnet", "status", env={**engine.env(), "LC_ALL": "C"}, text=False)
        assert all(32 <= byte < 127 or byte == 10 for byte in ascii_only.stdout), ascii_only.stdout
        names, table = rows(ascii_only.stdout.decode())
        assert names[0].rstrip() == "gr????e" and names[2].rstrip() == "a?[31mb??", names
        assert len({len(line) for line in table[:-1]}) == 1, table  # the last one is too long for its column
        for server in servers:
            server.quit()


if __name__ == "__main__":
    harness.main(globals())
