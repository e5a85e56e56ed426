# SPDX-License-Identifier: MIT
"""Builds the throwaway client in Go (tests/smoke/go) and runs it between two engines."""
import os
import shutil
import subprocess
import tempfile

import harness


def build(directory):
    go = shutil.which("go")
    if go is None:
        raise harness.Skip("golang-go is not installed")
    if harness.SANITIZED:
        raise harness.Skip("a sanitized library cannot be linked into an ordinary Go program")
    result = os.path.join(directory, "smoke")
    library = os.path.join(harness.BUILD, "lib")
    environment = dict(os.environ, CGO_ENABLED="1", GOFLAGS="-mod=mod", GOPROXY="off", GOTOOLCHAIN="local",
                       GOCACHE=os.path.join(harness.BUILD, "go-cache"), GOPATH=os.path.join(directory, "go"),
                       CGO_CFLAGS="-Wall -Werror -I" + os.path.join(harness.ROOT, "capi", "include"),
                       CGO_LDFLAGS="-L%s -Wl,-rpath,%s" % (library, library))
    done = subprocess.run([go, "build", "-o", result, "."], cwd=os.path.join(harness.ROOT, "tests", "smoke", "go"),
                          env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return result


def test_go():
    directory = tempfile.mkdtemp(prefix="machnet-go-")
    try:
        program = build(directory)
        with harness.two_engines() as (one, two):
            client = harness.Process([program, one.socket, two.socket, two.address(7000)])
            status = client.wait(60)
            assert status == 0 and client.lines == ["ok"], "%d: %s" % (status, "\n".join(client.log))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


harness.main(globals())
