#!/usr/bin/env python3
"""vlan_peer.py INTERFACE TAP VLAN MAC: a VLAN interface for a kernel without 802.1Q.

Makes TAP, which the kernel takes for a NIC, and carries its frames over INTERFACE with the tag of VLAN, and those that come there
with this tag, untagged, to it. The kernel takes a tag out before a reader of raw frames sees the frame and tells of it beside it.
A frame of MAC (ringsockd's) without the tag is a line "without the tag". A line on stdin sends MAC frames that are not of the VLAN,
WRONG_EACH of each kind: without a tag, of another VLAN, with a second tag behind the first.
"""
import fcntl
import os
import selectors
import socket
import struct
import sys

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 2, 0x1000
SOL_PACKET, PACKET_AUXDATA, PACKET_OUTGOING, ETH_P_ALL = 263, 8, 4, 3
SO_SNDBUFFORCE, SO_RCVBUFFORCE, BURST_BYTES = 32, 33, 1 << 25  # what a slow carrier has to hold
AUXDATA = struct.Struct("=IIIHHHH")  # status, len, snaplen, mac, net, vlan_tci, vlan_tpid
TP_STATUS_VLAN_VALID = 1 << 4
FRAME_BYTES = 65536
TPID = b"\x81\x00"
WRONG_EACH = 3


def open_tap(name):
    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return tap


def open_wire(interface):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    wire.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    wire.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BURST_BYTES)
    wire.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, BURST_BYTES)
    wire.bind((interface, ETH_P_ALL))
    return wire


def vlan_of(ancillary):
    """The VLAN that the kernel took out of the frame; None: there was no tag."""
    for level, kind, data in ancillary:
        if level == SOL_PACKET and kind == PACKET_AUXDATA:
            status, *_, tci, _tpid = AUXDATA.unpack(data[: AUXDATA.size])
            return tci & 0xFFF if status & TP_STATUS_VLAN_VALID else None
    return None


def tagged(frame, vlan):
    return frame[:12] + TPID + struct.pack("!H", vlan) + frame[12:]


def send_wrong(wire, vlan, mac):
    plain = mac + bytes.fromhex("025253000099") + b"\x08\x00" + bytes(46)
    for _ in range(WRONG_EACH):
        for frame in (plain, tagged(plain, vlan + 1), tagged(tagged(plain, vlan), vlan)):
            wire.send(frame)
    print("vlan_peer: sent the wrong frames", flush=True)


def from_wire(wire, tap, vlan, mac):
    frame, ancillary, _, address = wire.recvmsg(FRAME_BYTES, 256)
    if address[2] == PACKET_OUTGOING:
        return
    seen = vlan_of(ancillary)
    if seen == vlan:
        os.write(tap, frame)
    elif frame[6:12] == mac:
        print(f"vlan_peer: a frame of VLAN {seen}, without the tag {vlan}", flush=True)


def main():
    interface, tap_name, vlan, mac = sys.argv[1], sys.argv[2], int(sys.argv[3]), bytes.fromhex(sys.argv[4].replace(":", ""))
    # A veth queues by the sender's processor: one that wanders has its frames overtake each other.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    tap, wire = open_tap(tap_name), open_wire(interface)
    with selectors.DefaultSelector() as selector:
        selector.register(tap, selectors.EVENT_READ, lambda: wire.send(tagged(os.read(tap, FRAME_BYTES), vlan)))
        selector.register(wire, selectors.EVENT_READ, lambda: from_wire(wire, tap, vlan, mac))
        selector.register(sys.stdin, selectors.EVENT_READ, lambda: sys.stdin.readline() and send_wrong(wire, vlan, mac))
        print("vlan_peer: ready", flush=True)
        while True:
            for key, _ in selector.select():
                try:
                    key.data()
                except OSError as error:  # the TAP is not up yet, or the wire not any more
                    print(f"vlan_peer: {error}", flush=True)


if __name__ == "__main__":
    main()
