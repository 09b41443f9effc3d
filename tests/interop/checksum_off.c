/*
 * checksum_off INTERFACE: see kernel_sum_in_software. A program, because the interface is in a
 * namespace where only scripts go.
 */
#include <stdio.h>

#include "kernel_side.h"

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fputs("usage: checksum_off INTERFACE\n", stderr);
        return 2;
    }
    if (!kernel_sum_in_software(argv[1])) {
        perror("checksum_off: ETHTOOL_STXCSUM");
        return 1;
    }
    return 0;
}
