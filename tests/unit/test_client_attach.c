/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/fake_engine.h"

static machnet_error error;
static machnet_context *context;

static int32_t open_at(const char *path)
{
    machnet_options *options;
    machnet_options_new(&options);
    machnet_options_set_str(options, MACHNET_OPTION_SOCKET_PATH, path);
    int32_t status = machnet_context_open(MACHNET_ABI_VERSION, options, &context, &error);
    machnet_options_free(options);
    return status;
}

Test(context_open, no_engine)
{
    cr_assert_eq(open_at("/tmp/machnet-no-such-socket"), MACHNET_ENOENGINE);
    cr_assert(strstr(error.message, "/tmp/machnet-no-such-socket") != NULL &&
              strstr(error.message, "Start machnetd") != NULL);
    cr_assert_eq(open_at("/etc/passwd"), MACHNET_ENOENGINE);
    cr_assert_eq(error.status, MACHNET_ENOENGINE);
    cr_assert_neq(error.os_error, 0);
}

Test(context_open, socket_from_the_environment)
{
    char longer[200];
    setenv("MACHNET_SOCKET", "/tmp/machnet-from-environment", 1);
    setenv("XDG_RUNTIME_DIR", "/tmp/machnet-elsewhere", 1);
    cr_assert_eq(machnet_context_open(MACHNET_ABI_VERSION, NULL, &context, &error), MACHNET_ENOENGINE);
    cr_assert(strstr(error.message, "/tmp/machnet-from-environment") != NULL);
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    setenv("MACHNET_SOCKET", longer, 1);
    cr_assert_eq(machnet_context_open(MACHNET_ABI_VERSION, NULL, &context, &error), MACHNET_ENOENGINE);
    cr_assert(strstr(error.message, "shorter") != NULL);
}

Test(context_open, names_all_places_where_nobody_is)
{
    if (access("/run/machnet/machnet.sock", F_OK) == 0)
        cr_skip_test("an engine may be running on this machine");
    unsetenv("MACHNET_SOCKET");
    setenv("XDG_RUNTIME_DIR", "/tmp/machnet-elsewhere", 1);
    cr_assert_eq(machnet_context_open(MACHNET_ABI_VERSION, NULL, &context, &error), MACHNET_ENOENGINE);
    cr_assert(strstr(error.message, "/run/machnet/machnet.sock or /tmp/machnet-elsewhere/machnet.sock") != NULL &&
                  strstr(error.message, "MACHNET_SOCKET") != NULL,
              "%s", error.message);
}

Test(context_open, runtime_directory)
{
    struct fake_engine engine = {.max_flows = 0};
    char path[128];

    if (access("/run/machnet/machnet.sock", F_OK) == 0)
        cr_skip_test("an engine may be running on this machine");
    fake_engine_start(&engine);
    snprintf(path, sizeof path, "%s/machnet.sock", engine.directory);
    cr_assert_eq(rename(engine.path, path), 0);
    unsetenv("MACHNET_SOCKET");
    setenv("XDG_RUNTIME_DIR", engine.directory, 1);
    cr_assert_eq(machnet_context_open(MACHNET_ABI_VERSION, NULL, &context, &error), MACHNET_OK, "%s", error.message);
    machnet_channel *channel;
    cr_assert_eq(machnet_channel_open(context, NULL, &channel, &error), MACHNET_OK, "%s", error.message);
    fake_engine_attached(&engine);
    machnet_context_unref(context);
    cr_assert_eq(machnet_channel_wait(channel, 7, 0), MACHNET_ETIMEDOUT, "the channel does not need the context");
    machnet_channel_unref(channel);
    unlink(path);
    fake_engine_stop(&engine);
}

Test(context_open, abi)
{
    static const uint32_t wrong[] = {0, 2, 0xffff, MACHNET_ABI_VERSION + 1, 0x20000, 0xffffffff};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_assert_eq(machnet_context_open(wrong[i], NULL, &context, &error), MACHNET_EVERSION);
    cr_assert(strstr(error.message, "65535.65535") != NULL);
    cr_assert_eq(machnet_context_open(MACHNET_ABI_VERSION, NULL, NULL, &error), MACHNET_EINVAL);
}

Test(context_open, refused)
{
    struct fake_engine engine = {.hello_status = MACHNET_EVERSION};
    fake_engine_start(&engine);
    cr_assert_eq(open_at(engine.path), MACHNET_EVERSION);
    cr_assert(strstr(error.message, "0.0.0-fake") != NULL);
    fake_engine_attached(&engine);
    fake_engine_stop(&engine);
}

Test(context_open, permission)
{
    struct fake_engine engine = {.hello_status = MACHNET_EQUOTA};
    fake_engine_start(&engine);
    chmod(engine.directory, 0711);
    chmod(engine.path, 0600);
    pid_t self = getpid();
    if (geteuid() == 0) {
        cr_assert_eq(seteuid(65534), 0);
        cr_assert_eq(open_at(engine.path), MACHNET_EACCES);
        cr_assert(strstr(error.message, "socket-mode") != NULL);
        cr_assert_eq(seteuid(0), 0);
    }
    cr_assert_eq(self, getpid());
    cr_assert_eq(open_at(engine.path), MACHNET_EQUOTA);
    cr_assert(strstr(error.message, "the fake engine refuses") != NULL);
    fake_engine_attached(&engine);
    fake_engine_stop(&engine);
}

Test(channel_open, refused)
{
    struct fake_engine engine = {.attach_status = MACHNET_EQUOTA};
    machnet_channel *channel = NULL;
    fake_engine_start(&engine);
    cr_assert_eq(open_at(engine.path), MACHNET_OK);
    cr_assert_eq(machnet_channel_open(context, NULL, &channel, &error), MACHNET_EQUOTA);
    cr_assert(strstr(error.message, "the fake engine has no room") != NULL);
    cr_assert_null(channel);
    cr_assert_eq(machnet_channel_open(NULL, NULL, &channel, &error), MACHNET_EINVAL);
    fake_engine_attached(&engine);
    machnet_context_unref(context);
    fake_engine_stop(&engine);
}

Test(null, is_answered)
{
    uint64_t value;
    machnet_event event;
    machnet_view view;
    machnet_record record = {0};
    machnet_message message;
    machnet_flow_info info;
    machnet_address address = {0};

    machnet_context_unref(NULL);
    machnet_channel_unref(NULL);
    cr_assert_eq(machnet_context_status(NULL, NULL, 0, &value, NULL), MACHNET_EINVAL);
    cr_assert_eq(machnet_channel_ref(NULL), MACHNET_EINVAL);
    cr_assert_eq(machnet_channel_shutdown(NULL), MACHNET_EINVAL);
    cr_assert_eq(machnet_channel_fd(NULL), MACHNET_EINVAL);
    cr_assert_eq(machnet_channel_wait(NULL, 1, 0), MACHNET_EINVAL);
    cr_assert_eq(machnet_channel_wake(NULL), MACHNET_EINVAL);
    cr_assert_eq(machnet_channel_events(NULL, &event, 1, 0), MACHNET_EINVAL);
    cr_assert_eq(machnet_channel_stats(NULL, &value, 1), MACHNET_EINVAL);
    cr_assert_eq(machnet_listener_open(NULL, &address, NULL, &value, NULL), MACHNET_EINVAL);
    cr_assert_eq(machnet_listener_address(NULL, 1, &address), MACHNET_EINVAL);
    cr_assert_eq(machnet_listener_close(NULL, 1, 0, NULL), MACHNET_EINVAL);
    cr_assert_eq(machnet_flow_open(NULL, NULL, &address, NULL, 0, &value, NULL), MACHNET_EINVAL);
    cr_assert_eq(machnet_flow_close(NULL, 1, 0), MACHNET_EINVAL);
    cr_assert_eq(machnet_flow_addresses(NULL, 1, NULL, NULL), MACHNET_EINVAL);
    cr_assert_eq(machnet_flow_info_get(NULL, 1, &info), MACHNET_EINVAL);
    cr_assert_eq(machnet_send_packed(NULL, &record, 1, "", 0, 0), MACHNET_EINVAL);
    cr_assert_eq(machnet_recv_copy(NULL, 0, NULL, 0, &message, 0), MACHNET_EINVAL);
    cr_assert_eq(machnet_recv_packed(NULL, 0, &record, 1, NULL, 0, 0), MACHNET_EINVAL);
    cr_assert_eq(machnet_recv_borrow(NULL, 0, &view, 0), MACHNET_EINVAL);
    cr_assert_eq(machnet_send_reserve(NULL, 1, 1, &view, 0), MACHNET_EINVAL);
    cr_assert_eq(machnet_send_commit(NULL, 1, 1, 0, 0), MACHNET_EINVAL);
    cr_assert_eq(machnet_buffer_release(NULL, 1), MACHNET_EINVAL);
}

static int open_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* How many descriptors a channel of such an engine takes; it must work, now and when the engine says more than is known here. */
static int descriptors_of_channel(bool later)
{
    struct fake_engine engine = {.later = later};
    int before = open_descriptors();
    machnet_channel *channel = fake_engine_channel(&engine, NULL);
    int taken = open_descriptors() - before;
    if (later)
        fake_engine_say_more(&engine);
    cr_assert_eq(machnet_channel_wait(channel, 7, 1000000), MACHNET_ETIMEDOUT);
    fake_engine_accept(&engine, UINT64_C(1) << 32 | UINT32_C(0x80000000));
    cr_assert_gt(machnet_channel_wait(channel, 7, -1), 0);
    cr_assert_eq(open_descriptors() - before, taken, "what came with it is closed");
    machnet_channel_unref(channel);
    fake_engine_stop(&engine);
    cr_assert_eq(open_descriptors(), before);
    return taken;
}

Test(channel_open, a_later_engine_may_say_and_offer_more)
{
    int taken = descriptors_of_channel(false);
    cr_assert_eq(descriptors_of_channel(true), taken);
}

Test(context_open, a_version_that_was_not_asked_for)
{
    struct fake_engine engine = {.hello_version = MN_CONTROL_VERSION + 1};
    fake_engine_start(&engine);
    cr_assert_eq(open_at(engine.path), MACHNET_EVERSION);
    fake_engine_attached(&engine);
    fake_engine_stop(&engine);
}
