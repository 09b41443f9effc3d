/*
 * What Ringsock is in the Winsock catalog: its provider id and its protocol entries. One
 * declaration for the DLL (SO_PROTOCOL_INFO, checks) and the host. Constant data; any thread.
 */
#ifndef RINGSOCK_PROVIDER_SPI_CATALOG_H
#define RINGSOCK_PROVIDER_SPI_CATALOG_H

#include <winsock2.h>

/* The entries, catalog id 0: the catalog gives the id. One per (family, type, protocol). */
extern const WSAPROTOCOL_INFOW spi_catalog_entries[];

/* The entry that serves the triple; type or protocol 0 match any. NULL: none does. */
const WSAPROTOCOL_INFOW *spi_catalog_find(int family, int type, int protocol);

#endif
