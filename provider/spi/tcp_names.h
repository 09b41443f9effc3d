/*
 * Names of TCP options that Windows' ws2ipdef.h has and MinGW's does not. Shared with the tests.
 */
#ifndef RINGSOCK_PROVIDER_SPI_TCP_NAMES_H
#define RINGSOCK_PROVIDER_SPI_TCP_NAMES_H

#ifndef TCP_KEEPALIVE
#define TCP_KEEPALIVE 3 /* seconds before the first probe; TCP_KEEPIDLE is the same option */
#endif
#ifndef TCP_KEEPIDLE
#define TCP_KEEPIDLE TCP_KEEPALIVE
#endif
#ifndef TCP_MAXRT
#define TCP_MAXRT 5 /* seconds; -1: for ever */
#endif
#ifndef TCP_MAXRTMS
#define TCP_MAXRTMS 14
#endif
#ifndef TCP_KEEPCNT
#define TCP_KEEPCNT 16
#endif
#ifndef TCP_KEEPINTVL
#define TCP_KEEPINTVL 17 /* seconds */
#endif

#endif
