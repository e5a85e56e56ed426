/* SPDX-License-Identifier: MIT */
/* Loads the DPDK back end when it is asked for. */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "nic/nic.h"
#include "nic/nic_dpdk.h"

#ifdef MACHNET_DPDK_MODULE

bool nic_dpdk_is_built(void)
{
    return true;
}

/* Beside the program that runs, not where the dynamic linker would look: it must be of the same build. */
static bool find_module(char *path, size_t capacity)
{
    ssize_t length = readlink("/proc/self/exe", path, capacity);
    while (length > 0 && path[length - 1] != '/')
        length--;
    if (length <= 0 || (size_t)length + sizeof MACHNET_DPDK_MODULE > capacity)
        return false;
    memcpy(path + length, MACHNET_DPDK_MODULE, sizeof MACHNET_DPDK_MODULE);
    return true;
}

struct frame_device *nic_dpdk_open(const struct nic_dpdk_config *config, char *error)
{
    char path[PATH_MAX];
    if (!find_module(path, sizeof path)) {
        (void)snprintf(error, NIC_ERROR_BYTES, "the DPDK back end is not found: /proc is not there");
        return NULL;
    }
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (module == NULL) {
        (void)snprintf(error, NIC_ERROR_BYTES,
                       "the DPDK back end cannot be loaded (%.160s): install it with machnetd, or use --nic udp",
                       dlerror());
        return NULL;
    }
    const struct nic_dpdk_module *found = dlsym(module, "nic_dpdk_module");
    if (found == NULL || found->version != NIC_DPDK_MODULE_VERSION) {
        (void)snprintf(error, NIC_ERROR_BYTES,
                       "the DPDK back end %.120s is of another version than machnetd: install both from one build",
                       path);
        (void)dlclose(module);
        return NULL;
    }
    return found->open(config, error); /* DPDK has threads of its own: it stays loaded */
}

#else

bool nic_dpdk_is_built(void)
{
    return false;
}

struct frame_device *nic_dpdk_open(const struct nic_dpdk_config *config, char *error)
{
    (void)config;
    (void)snprintf(error, NIC_ERROR_BYTES,
                   "this machnetd was built without DPDK: install libdpdk-dev and build with -DMACHNET_DPDK=ON, or use "
                   "--nic udp");
    return NULL;
}

#endif
