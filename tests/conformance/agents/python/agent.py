# SPDX-License-Identifier: MIT
"""The conformance agent in Python: JSON lines, and the public API of the binding."""
import json
import sys

import machnet
from machnet import errors

import hostile
import life
import messages
from objects import Closed, Fault, Objects, Unavailable


def status_name(problem):
    code = problem.code
    return "MACHNET_" + (code.name if isinstance(code, machnet.Status) else "EUNKNOWN")


def error_of(problem):
    """The answer for an exception of an operation."""
    if isinstance(problem, machnet.MachnetError):
        answer = {"status": status_name(problem), "message": str(problem)}
        if isinstance(problem, errors.MessageSizeError) and problem.length:
            answer["length"] = problem.length
        return answer
    if isinstance(problem, OverflowError) or type(problem) is ValueError:  # Python's own words for an argument out of range
        return {"status": "MACHNET_EINVAL", "message": str(problem)}
    if isinstance(problem, (BufferError, Closed)):
        return {"status": "CLOSED", "message": str(problem)}
    return {"status": "AGENT", "message": "%s: %s" % (type(problem).__name__, problem)}


def answer(objects, operations, request):
    try:
        operation = operations.get(request["op"])
        if operation is None:
            raise Fault("no such op: %s" % request["op"])
        return {"ok": operation(objects, request) or {}}
    except Unavailable as reason:
        return {"na": str(reason)}
    except Exception as problem:  # pylint: disable=broad-except
        return {"error": error_of(problem)}


def main():
    objects, operations = Objects(), {**life.OPERATIONS, **messages.OPERATIONS, **hostile.OPERATIONS}
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps({"id": request["id"], **answer(objects, operations, request)}), flush=True)


main()
