# SPDX-License-Identifier: MIT
"""All threads that machnet.h allows, at once, on one channel. ctest-labels: tsan"""
import harness


def test_threads():
    count = 20000 if harness.SANITIZED else 200000
    with harness.two_engines() as (one, two):
        client = harness.Process([harness.program("integration_client_threads"), one.socket, two.socket, two.address(7000), str(count)])
        status = client.wait(90)
        assert status == 0 and client.lines == ["%d messages" % count], "%d: %s" % (status, "\n".join(client.log[:40]))


harness.main(globals())
