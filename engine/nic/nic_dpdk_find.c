/* SPDX-License-Identifier: MIT */
/* From a device's name to a port; if there is none, to the reason, in words that help. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_errno.h>

#include "base/address.h"
#include "nic/nic_dpdk_internal.h"

enum { PATH_BYTES = 300, MESSAGE_BYTES = 160 };

/* ---- What the kernel's files tell before DPDK starts ---- */

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (strcmp(name, *names) == 0)
            return true;
    }
    return false;
}

/* Drivers of the kernel under which DPDK can have a device. */
static bool driver_suits(const char *driver)
{
    static const char *const names[] = {"vfio-pci",  "uio_pci_generic", "igb_uio", "uio_hv_generic",
                                        "mlx4_core", "mlx5_core",       "mana",    NULL};
    return is_one_of(driver, names);
}

/* Says in driver[PATH_BYTES] which driver of the kernel has the device: "" none. False if there is no such device. */
static bool read_driver(const char *bus, const char *id, char *driver)
{
    char path[PATH_BYTES], target[PATH_BYTES];
    (void)snprintf(path, sizeof path, "/sys/bus/%s/devices/%s", bus, id);
    if (access(path, F_OK) < 0)
        return false;
    (void)snprintf(path, sizeof path, "/sys/bus/%s/devices/%s/driver", bus, id);
    ssize_t length = readlink(path, target, sizeof target - 1);
    target[length > 0 ? length : 0] = '\0';
    const char *name = strrchr(target, '/');
    (void)snprintf(driver, PATH_BYTES, "%s", name != NULL ? name + 1 : "");
    return true;
}

static int check_bus_device(const char *device, const char *bus, const char *lister, const char *suitable, char *error)
{
    char id[64], driver[PATH_BYTES];
    int length = (int)strcspn(device, ",");
    bool short_form = length == 7; /* without the domain */
    (void)snprintf(id, sizeof id, "%s%.*s", short_form ? "0000:" : "", length, device);
    if (!read_driver(bus, id, driver))
        return dpdk_fail(error, "there is no device %s (%s shows them): give another --device", id, lister);
    if (driver[0] == '\0')
        return dpdk_fail(error, "device %s has no driver: bind it with \"dpdk-devbind.py -b %s %s\"", id, suitable, id);
    if (!driver_suits(driver))
        return dpdk_fail(error,
                         "device %s is bound to the kernel's driver %.32s: take it away from the kernel with "
                         "\"dpdk-devbind.py -b %s %s\"",
                         id, driver, suitable, id);
    if (strcmp(driver, "vfio-pci") == 0 && access("/dev/vfio/vfio", R_OK | W_OK) < 0)
        return dpdk_fail(error, "device %s needs /dev/vfio/vfio, and it cannot be opened: %s", id, strerror(errno));
    return 0;
}

static int check_interface(const char *device, char *error)
{
    char interface[IF_NAMESIZE];
    if (strncmp(device, "net_af_", 7) != 0 && strncmp(device, "eth_af_", 7) != 0)
        return 0;
    if (!device_name_argument(device, "iface", interface, sizeof interface))
        return dpdk_fail(error, "\"%.80s\" does not say which interface: add ,iface=NAME", device);
    if (if_nametoindex(interface) == 0)
        return dpdk_fail(error,
                         "there is no network interface %s (ip link shows them): give another iface=", interface);
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return dpdk_fail(error,
                         "a packet socket on %s needs the capability CAP_NET_RAW, and then CAP_NET_ADMIN (%s): run "
                         "machnetd as root or "
                         "with both",
                         interface, strerror(errno));
    (void)close(fd);
    return 0;
}

int dpdk_check_device(const struct nic_dpdk_config *config, char *error)
{
    const char *device = config->device;
    switch (device_name_kind(device)) {
    case DEVICE_NAME_PCI:
        return check_bus_device(device, "pci", "lspci", "vfio-pci", error);
    case DEVICE_NAME_VMBUS:
        return check_bus_device(device, "vmbus", "ls /sys/bus/vmbus/devices", "uio_hv_generic", error);
    case DEVICE_NAME_VIRTUAL:
        return check_interface(device, error);
    case DEVICE_NAME_MAC:
        return 0;
    case DEVICE_NAME_WRONG:
        break;
    }
    return dpdk_fail(error,
                     "\"%.60s\" is no device: give a PCI address (0000:00:06.0), a MAC address or a device of DPDK "
                     "with its arguments (net_af_packet0,iface=eth1)",
                     device);
}

/* ---- Ports ---- */

static int find_by_mac(struct dpdk_device *device, const char *text, char *error)
{
    uint8_t mac[6];
    struct rte_ether_addr address;
    uint32_t ports = 0;
    (void)address_parse_mac(text, mac);
    for (uint16_t port = 0; port < RTE_MAX_ETHPORTS; port++) {
        if (!rte_eth_dev_is_valid_port(port))
            continue;
        ports++;
        if (rte_eth_macaddr_get(port, &address) == 0 && memcmp(address.addr_bytes, mac, sizeof mac) == 0) {
            device->port = port;
            return 0;
        }
    }
    return dpdk_fail(error,
                     "no port has the MAC address %s; DPDK sees %u port%s: is the device bound to vfio-pci "
                     "(dpdk-devbind.py --status)?",
                     text, ports, ports == 1 ? "" : "s");
}

/* Devices on a bus are there since DPDK started, unless another device was opened then; virtual ones are made now. */
static int probe(const char *device, char *error)
{
    char message[MESSAGE_BYTES];
    dpdk_messages_capture();
    int result = rte_dev_probe(device);
    dpdk_messages_take(message, sizeof message);
    if (result >= 0 || result == -EEXIST)
        return 0;
    return dpdk_fail(error, "DPDK cannot open %.80s: %s", device,
                     message[0] != '\0' ? message : strerror(result < -1 ? -result : EINVAL));
}

static int find_by_name(struct dpdk_device *device, const char *text, char *error)
{
    char name[RTE_ETH_NAME_MAX_LEN];
    bool short_form = strcspn(text, ",") == 7 && device_name_kind(text) == DEVICE_NAME_PCI;
    (void)snprintf(name, sizeof name, "%s%.*s", short_form ? "0000:" : "", (int)strcspn(text, ","), text);
    if (rte_eth_dev_get_port_by_name(name, &device->port) == 0)
        return 0;
    if (probe(text, error) < 0)
        return -1;
    if (rte_eth_dev_get_port_by_name(name, &device->port) == 0)
        return 0;
    struct rte_dev_iterator ports;
    RTE_ETH_FOREACH_MATCHING_DEV(device->port, text, &ports)
    {
        rte_eth_iterator_cleanup(&ports); /* a device that brings several ports: the first */
        return 0;
    }
    return dpdk_fail(error, "DPDK has no driver for %s: is it a network device?", name);
}

int dpdk_find_port(struct dpdk_device *device, const char *name, char *error)
{
    bool by_mac = device_name_kind(name) == DEVICE_NAME_MAC;
    if ((by_mac ? find_by_mac(device, name, error) : find_by_name(device, name, error)) < 0)
        return -1;
    if (rte_eth_dev_get_name_by_port(device->port, device->name) != 0)
        (void)snprintf(device->name, sizeof device->name, "port %u", device->port);
    char role[16];
    device->memif = strncmp(device->name, "net_memif", 9) == 0;
    device->reconnects = device->memif && !(device_name_argument(name, "role", role, sizeof role) &&
                                            (strcmp(role, "server") == 0 || strcmp(role, "master") == 0));
    if (strncmp(device->name, "net_af_", 7) == 0)
        (void)device_name_argument(name, "iface", device->interface, sizeof device->interface);
    return 0;
}
