# SPDX-License-Identifier: MIT
"""The programs that people start from: examples/hello.c, and those in README.md and machnet(3), as they stand there."""
import os
import re
import subprocess
import tempfile

import harness
from harness import Process, serve, two_engines


def readme_program():
    with open(os.path.join(harness.ROOT, "README.md"), encoding="utf-8") as file:
        return re.search(r"^```c\n(.*?)^```$", file.read(), re.M | re.S).group(1)


def man_program():
    """The literal block of machnet(3) that has a main."""
    with open(os.path.join(harness.ROOT, "capi", "man", "machnet.3"), encoding="utf-8") as file:
        blocks = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed$", file.read(), re.M | re.S)
    program, = [block for block in blocks if "main(" in block]
    return program.replace("\\e", "\\")


def compiled(directory, name, text, address):
    """Compiles it as people would, but for the address in it."""
    with_address, count = re.subn(r"\"10\.0\.0\.\d+:7000\"", '"%s"' % address, text)
    assert count == 1, text
    source, program = os.path.join(directory, name + ".c"), os.path.join(directory, name)
    with open(source, "w", encoding="utf-8") as file:
        file.write(with_address)
    library = os.path.join(harness.BUILD, "lib")
    command = [os.environ.get("CC", "cc"), "-std=c11", "-Wall", "-Wextra", "-Werror", "-o", program, source,
               "-I" + os.path.join(harness.ROOT, "capi", "include"), "-L" + library, "-Wl,-rpath," + library, "-lmachnet"]
    if harness.SANITIZED:
        command.append("-fsanitize=" + os.environ["MACHNET_SANITIZE"])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return program


def wait_for_flow(engine):
    harness.wait_until(lambda: any(flow["state"] == "open" for flow in engine.status()["flows"]), 10, "a flow")


def hello(engine, *arguments, **keywords):
    return Process([harness.program("hello"), *arguments], env=engine.env(), **keywords)


def hello_listens(engine):
    server = hello(engine, "listen", engine.address(7000))
    harness.wait_until(lambda: engine.status()["listeners"] != [], 10, "a listener")
    return server


def test_readme_program():
    with two_engines() as (one, two), tempfile.TemporaryDirectory() as directory:
        program = compiled(directory, "readme", readme_program(), two.address(7000))
        server = hello_listens(two)
        client = Process([program], env=one.env())
        assert client.wait(20) == 0 and client.lines == ["hello, too"], (client.lines, client.log)
        assert server.wait(10) == 0 and server.lines == ["received: hello"], (server.lines, server.log)


def test_readme_program_when_the_peer_ends():
    with two_engines() as (one, two), tempfile.TemporaryDirectory() as directory:
        program = compiled(directory, "readme", readme_program(), two.address(7000))
        server = serve(two, 7000, "--paused")
        client = Process([program], env=one.env())
        wait_for_flow(two)
        server.kill()
        client.wait(10)
        assert len(client.lines) == 1 and "abort" in client.lines[0], client.lines


def test_man_program():
    with two_engines() as (one, two), tempfile.TemporaryDirectory() as directory:
        program = compiled(directory, "man", man_program(), two.address(7000))
        server = serve(two, 7000, "--paused")
        client = Process([program], env=one.env())
        assert client.wait(20) == 0, client.log
        server.kill()
        client = Process([program], env=one.env())
        assert client.wait(20) == 1 and two.address(7000) in client.log[0], client.log


def test_hello():
    with two_engines() as (one, two):
        server = hello_listens(two)
        client = hello(one, two.address(7000))
        assert client.wait(20) == 0 and client.lines == ["received: hello, too"], (client.lines, client.log)
        assert server.wait(10) == 0 and server.lines == ["received: hello, world"], (server.lines, server.log)


def test_hello_when_the_peer_ends():
    with two_engines() as (one, two):
        server = serve(two, 7000, "--paused")
        client = hello(one, two.address(7000))
        wait_for_flow(two)
        server.kill()
        assert client.wait(10) == 1 and len(client.log) == 1 and "receive" in client.log[0], client.log
        server = hello_listens(two)
        client = harness.send(one, two.address(7000), "--count", 0, "--keep")
        wait_for_flow(two)
        client.kill()
        assert server.wait(10) == 1 and len(server.log) == 1 and "receive" in server.log[0], server.log


def test_hello_when_the_engine_ends():
    with two_engines() as (one, two):
        server = serve(two, 7000, "--paused")
        client = hello(one, two.address(7000))
        wait_for_flow(two)
        one.stop()
        assert client.wait(10) == 1 and len(client.log) == 1, client.log
        server.kill()


def test_hello_that_cannot_write():
    with two_engines() as (one, two), open("/dev/full", "wb") as full:
        server = hello_listens(two)
        client = hello(one, two.address(7000), stdout=full)
        assert client.wait(20) == 1 and "No space left" in client.log[0], client.log
        assert server.wait(10) == 0, server.log


harness.main(globals())
