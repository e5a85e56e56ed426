/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <stdint.h>

#include <machnet/machnet.h>

/* The one table of statuses: code and text. The order is that of the codes, 0 downwards. */
#define STATUSES(X)                                                                                 \
    X(OK, "Success")                                                                                \
    X(EAGAIN, "Nothing is there, or there is no space now: wait, then call again")                  \
    X(EINVAL, "An argument is out of range")                                                        \
    X(ENOMEM, "Memory, descriptors or address space are exhausted")                                 \
    X(ENOTSUP, "This library does not know the option, or the call has no use for it")              \
    X(EVERSION, "Library and caller, library and engine, or two engines have no version in common") \
    X(EFORKED, "This process is a child of the one that opened the handle: open its own")           \
    X(EINTR, "A signal was handled during the wait")                                                \
    X(ETIMEDOUT, "The time given is over")                                                          \
    X(ENOENGINE, "No engine answers on the socket")                                                 \
    X(EENGINEGONE, "The engine ended while we were attached, or gave the channel up")               \
    X(EACCES, "The engine's socket may not be used by this user")                                   \
    X(EQUOTA, "A limit of this machine's engine for this user is reached, or one of the peer's")                                     \
    X(ESHUTDOWN, "The channel was shut down by this application")                                   \
    X(EPROTOCOL, "The other side broke the rules of the shared memory")                             \
    X(EBADTOKEN, "The token names nothing (any more) on this channel")                              \
    X(EMSGSIZE, "The message is longer than the buffer, or than any message may be")                \
    X(EADDRINUSE, "Another listener has this address")                                              \
    X(EADDRNOTAVAIL, "The engine does not own this address")                                        \
    X(EREFUSED, "The peer answered that nothing listens there")  \
    X(EUNREACHABLE, "The peer's engine did not answer within the time for opening a flow")          \
    X(ECLOSED, "The flow was closed")                                                               \
    X(ERESET, "The flow was aborted by the peer, or the peer's application died, or its engine was stopped")                   \
    X(EPEERDEAD, "The peer's engine was not heard for the dead-peer time")                          \
    X(EPEERRESTARTED, "The peer's engine has restarted and forgotten the flow")                     \
    X(ESYSTEM, "A system call failed")                                                              \
    X(EPEERPROTOCOL, "The peer's engine broke the rules of the wire")                               \
    X(ELOWMEMORY, "This process has no memory to note a new flow: free some, then call again")      \
    X(EPEERMSGSIZE, "A message that was sent is longer than the peer can ever take")

static const struct {
    int32_t status;
    const char *name, *text;
} statuses[] = {
#define X(code, sentence) {MACHNET_##code, "MACHNET_" #code, sentence},
    STATUSES(X)
#undef X
};

static size_t status_index(int32_t status)
{
    size_t count = sizeof statuses / sizeof *statuses;
    if (status > 0 || (size_t) - (int64_t)status >= count)
        return count;
    return (size_t) - (int64_t)status;
}

const char *machnet_status_name(int32_t status)
{
    size_t index = status_index(status);
    return index < sizeof statuses / sizeof *statuses ? statuses[index].name : "MACHNET_EUNKNOWN";
}

const char *machnet_status_text(int32_t status)
{
    size_t index = status_index(status);
    return index < sizeof statuses / sizeof *statuses ? statuses[index].text : "Unknown status";
}
