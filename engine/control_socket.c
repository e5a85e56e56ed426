/* SPDX-License-Identifier: MIT */
#include "control_socket.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16 */
#endif

enum { BACKLOG = 256 };

static_assert(sizeof((struct sockaddr_un){0}.sun_path) == CONTROL_SOCKET_PATH_BYTES, "paths fit into addresses");

static int fail(char *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int fail(char *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error, CONTROL_SOCKET_ERROR_BYTES, format, arguments);
    va_end(arguments);
    return -1;
}

static int fail_in_use(const char *path, char *error)
{
    return fail(error, "%s belongs to an engine that runs: stop that, or give this one another --socket and --ip", path);
}

static int make_directory_of(const char *path, char *error)
{
    char directory[CONTROL_SOCKET_PATH_BYTES];
    (void)snprintf(directory, sizeof directory, "%s", path);
    char *slash = strrchr(directory, '/');
    if (slash == NULL || slash == directory)
        return 0;
    *slash = '\0';
    if (mkdir(directory, 0755) < 0 && errno != EEXIST)
        return fail(error, "cannot make %s: %s; give another place by --socket", directory, strerror(errno));
    return 0;
}

/* True if `fd` is the file at `path`: it was not removed between open and flock. */
static bool is_file_at(int fd, const char *path)
{
    struct stat ours, there;
    return fstat(fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_dev == there.st_dev &&
           ours.st_ino == there.st_ino;
}

static int take_lock(struct control_socket *control, char *error)
{
    for (;;) {
        int fd = open(control->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return fail(error, "cannot open %s: %s; give a --socket in a directory that this user may write",
                        control->lock_path, strerror(errno));
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
            close(fd);
            return fail_in_use(control->path, error);
        }
        if (is_file_at(fd, control->lock_path)) {
            control->lock = fd;
            return 0;
        }
        close(fd); /* an engine that ended has just removed it: make a new one */
    }
}

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1);
    return address;
}

/* Removes the socket that an engine left behind. What is not a socket, or answers, stays. */
static int remove_stale(const char *path, char *error)
{
    struct stat status;
    if (lstat(path, &status) < 0)
        return errno == ENOENT ? 0 : fail(error, "cannot look at %s: %s", path, strerror(errno));
    if (!S_ISSOCK(status.st_mode))
        return fail(error, "%s is there and is not a socket: remove it, or give another --socket", path);
    struct sockaddr_un address = address_of(path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool answers = fd >= 0 && (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EAGAIN ||
                               errno == EPROTOTYPE);
    if (fd >= 0)
        close(fd);
    if (answers)
        return fail_in_use(path, error);
    if (unlink(path) < 0 && errno != ENOENT)
        return fail(error, "cannot replace %s, which a dead engine left: %s", path, strerror(errno));
    return 0;
}

static int set_owner(const struct control_socket *control, uint32_t mode, const char *name, char *error)
{
    if (name[0] != '\0') {
        errno = 0;
        const struct group *group = getgrnam(name);
        if (group == NULL)
            return fail(error, "--socket-group: there is no group \"%s\" on this machine: make it (groupadd) or give another",
                        name);
        if (chown(control->path, (uid_t)-1, group->gr_gid) < 0)
            return fail(error, "cannot give %s to the group %s: %s", control->path, name, strerror(errno));
    }
    if (chmod(control->path, mode) < 0)
        return fail(error, "cannot set the mode of %s: %s", control->path, strerror(errno));
    return 0;
}

static int bind_socket(struct control_socket *control, uint32_t mode, const char *group, char *error)
{
    struct sockaddr_un address = address_of(control->path);
    control->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t before = umask(0177); /* nobody else gets in before its mode is set */
    int result = control->fd < 0 ? -1 : bind(control->fd, (struct sockaddr *)&address, sizeof address);
    int problem = errno;
    (void)umask(before);
    struct stat status;
    if (result < 0 || stat(control->path, &status) < 0)
        return fail(error, "cannot make the socket %s: %s", control->path, strerror(result < 0 ? problem : errno));
    control->device = status.st_dev;
    control->inode = status.st_ino;
    if (set_owner(control, mode, group, error) < 0)
        return -1;
    /* Connections inherit both: clients cannot send descriptors, where the kernel knows of that; and what comes carries its sender's
     * identity, as mn_control_drain needs it. */
    const int no = 0, yes = 1;
    (void)setsockopt(control->fd, SOL_SOCKET, SO_PASSRIGHTS, &no, sizeof no);
    if (setsockopt(control->fd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes) < 0)
        return fail(error, "cannot set up the socket %s: %s", control->path, strerror(errno));
    return listen(control->fd, BACKLOG) == 0 ? 0
                                             : fail(error, "cannot listen on %s: %s", control->path, strerror(errno));
}

int control_socket_open(struct control_socket *control, const char *path, uint32_t mode, const char *group,
                        bool make_directory, char *error)
{
    *control = (struct control_socket){.fd = -1, .lock = -1};
    (void)snprintf(control->path, sizeof control->path, "%s", path);
    (void)snprintf(control->lock_path, sizeof control->lock_path, "%s.lock", path);
    if (make_directory && make_directory_of(path, error) < 0)
        return -1;
    if (take_lock(control, error) == 0 && remove_stale(path, error) == 0 &&
        bind_socket(control, mode, group, error) == 0)
        return 0;
    control_socket_close(control);
    return -1;
}

void control_socket_close(struct control_socket *control)
{
    struct stat status;
    if (control->inode != 0 && lstat(control->path, &status) == 0 && status.st_dev == control->device &&
        status.st_ino == control->inode)
        unlink(control->path);
    if (control->lock >= 0) {
        unlink(control->lock_path);
        close(control->lock);
    }
    if (control->fd >= 0)
        close(control->fd);
    *control = (struct control_socket){.fd = -1, .lock = -1};
}
