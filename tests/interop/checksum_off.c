/*
 * checksum_off INTERFACE: the kernel finishes transmit checksums of that interface itself (what
 * 'ethtool -K INTERFACE tx off' does, without that package).
 */
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct ethtool_value value = {.cmd = ETHTOOL_STXCSUM, .data = 0};
    struct ifreq request = {.ifr_data = (void *)&value};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (argc != 2 || fd < 0) {
        (void)fputs("usage: checksum_off INTERFACE\n", stderr);
        return 2;
    }
    (void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%.15s", argv[1]);
    int result = ioctl(fd, SIOCETHTOOL, &request);
    if (result != 0) {
        perror("checksum_off: ETHTOOL_STXCSUM");
    }
    (void)close(fd);
    return result == 0 ? 0 : 1;
}
