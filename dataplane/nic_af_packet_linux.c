/*
 * DPDK's net_af_packet asks the kernel to put IPv4 fragments together before the driver sees them
 * (PACKET_FANOUT_FLAG_DEFRAG), and then cuts the datagram at the size of a frame in its ring: it is
 * lost. There is no argument against that, so the driver's setsockopt is this one, which takes the
 * flag away; the stack does what is left to do. Everybody else's calls pass through. Start-up
 * thread, from the driver's probe.
 */
#include <linux/if_packet.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FANOUT_FLAGS_SHIFT 16

/* The names in the system's header are reserved ones. */
/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
int setsockopt(int fd, int level, int name, const void *value, socklen_t value_bytes)
{
    uint32_t fanout;
    if (level == SOL_PACKET && name == PACKET_FANOUT && value_bytes == sizeof(fanout)) {
        memcpy(&fanout, value, sizeof(fanout));
        fanout &= ~((uint32_t)PACKET_FANOUT_FLAG_DEFRAG << FANOUT_FLAGS_SHIFT);
        value = &fanout;
    }
    return (int)syscall(SYS_setsockopt, fd, level, name, value, value_bytes);
}
