#!/usr/bin/env python3
"""capture_check.py WHAT FILE [NUMBER]: reads every block of a pcapng file and compares.

traffic  one run of capture_client's traffic: each datagram and each byte of the connections is there, once
counts   NUMBER frames, no more
snap     as traffic, but of each frame at most NUMBER bytes
dropped  some frames are missing, and the statistics say how many
whole    the blocks are right
"""
import struct
import sys

LENGTHS = [0, 1, 40, 41, 500, 1400, 9000, 65507]
SEND, RECV, LISTEN, NOBODY = 17001, 17002, 17003, 17004
STREAM, BACK = 300000, 200001


def check(condition, what):
    if not condition:
        sys.exit(f"{sys.argv[2]}: {what}")


def pattern(number, count):
    return bytes((i * 31 + (i >> 8) + number * 17) & 0xFF for i in range(count))


def options(body):
    found = {}
    while body:
        code, length = struct.unpack_from("<HH", body)
        if code == 0:
            check(length == 0 and len(body) == 4, "the options' end is not the block's")
            return found
        check(4 + length <= len(body), "an option is longer than its block")
        found[code] = body[4 : 4 + length]
        body = body[4 + (length + 3) // 4 * 4 :]
    check(not found, "options without an end")
    return found


class File:
    def __init__(self, name):
        with open(name, "rb") as file:
            data = file.read()
        self.interfaces, self.packets, self.statistics = [], [], {}
        position = 0
        while position < len(data):
            kind, length = struct.unpack_from("<II", data, position)
            check(length % 4 == 0 and length >= 12 and position + length <= len(data), "a block is cut")
            check(struct.unpack_from("<I", data, position + length - 4)[0] == length, "a block's lengths differ")
            check((position == 0) == (kind == 0x0A0D0D0A), "the section header is not the first block, or not the only one")
            self.block(kind, data[position + 8 : position + length - 4])
            position += length

    def block(self, kind, body):
        if kind == 0x0A0D0D0A:
            check(struct.unpack_from("<IHHq", body) == (0x1A2B3C4D, 1, 0, -1), "the section header is wrong")
            found = options(body[16:])
            check(found[4].startswith(b"ringsockctl ") and found[2] and found[3], "the section says nothing of its maker")
        elif kind == 1:
            link, reserved, snap = struct.unpack_from("<HHI", body)
            found = options(body[8:])
            check(link == 1 and reserved == 0 and found[9] == b"\x09", "an interface is not Ethernet in ns")
            self.interfaces.append((found[2].decode(), snap))
        elif kind == 6:
            interface, high, low, captured, whole = struct.unpack_from("<IIIII", body)
            check(interface < len(self.interfaces), "a packet's interface comes later or never")
            check(captured <= whole and 20 + captured <= len(body), "a packet is cut")
            snap = self.interfaces[interface][1]
            check(captured == whole or captured == snap, "a packet is neither whole nor as long as asked")
            flags = options(body[20 + (captured + 3) // 4 * 4 :]).get(2)
            direction = struct.unpack("<I", flags)[0] & 3 if flags else 0
            self.packets.append((interface, high << 32 | low, body[20 : 20 + captured], whole, direction))
        elif kind == 5:
            interface = struct.unpack_from("<I", body)[0]
            found = options(body[12:])
            check(interface not in self.statistics, "two statistics of an interface")
            self.statistics[interface] = (struct.unpack("<Q", found[4])[0], struct.unpack("<Q", found[5])[0])
        else:
            check(False, f"a block of type {kind}")


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def parse(frame, whole):
    """protocol, addresses, ports, the transport header's rest and what follows; checks the checksums of whole frames"""
    check(frame[12:14] == b"\x08\0", "not IPv4")
    ip = frame[14:]
    check(ip[0] == 0x45 and checksum(ip[:20]) == 0xFFFF, "an IPv4 header is wrong")
    total = struct.unpack_from(">H", ip, 2)[0]
    check(14 + total <= max(whole, 60), "an IPv4 packet is longer than its frame")
    payload = ip[20:total]
    if len(frame) == whole:
        pseudo = ip[12:20] + struct.pack(">HH", ip[9], total - 20)
        check(checksum(pseudo + payload) == 0xFFFF, "a checksum is wrong")
    ports = struct.unpack_from(">HH", payload)
    return ip[9], ip[12:16], ip[16:20], ports, payload, total - 20


class Stream:
    """One direction of a connection."""

    def __init__(self):
        self.next = None
        self.data = b""
        self.length = 0
        self.flags = ""


def segments(packets):
    """The connections, each a pair of directions, in order; every segment must stand where the one before ended."""
    done, current = [], {}
    for frame, whole in packets:
        protocol, src, dst, ports, tcp, length = parse(frame, whole)
        if protocol != 6:
            continue
        check(src == dst == bytes([10, 77, 0, 1]), "a segment's addresses are wrong")
        seq, ack, offset, flags = struct.unpack_from(">IIBB", tcp, 4)
        header = (offset >> 4) * 4
        if flags & 2 and not flags & 16:
            current[ports], current[ports[::-1]] = Stream(), Stream()
            done.append((ports, current[ports], current[ports[::-1]]))
        check(ports in current, "a segment before the SYN")
        own, peer = current[ports], current[ports[::-1]]
        check(own.next is None or seq == own.next, f"{ports}: a segment at {seq}, not {own.next}")
        if flags & 16:
            check(flags & 4 or ack == peer.next, f"{ports}: acknowledges {ack}, not {peer.next}")
        own.data += tcp[header:]
        own.length += length - header
        own.next = (seq + length - header + (1 if flags & 3 else 0)) & 0xFFFFFFFF
        for bit, letter in ((2, "S"), (1, "F"), (4, "R")):
            own.flags += letter if flags & bit else ""
    return done


def traffic(file, snap):
    packets = [(frame, whole) for _, _, frame, whole, _ in file.packets]
    datagrams = [parsed for parsed in (parse(*packet) for packet in packets) if parsed[0] == 17]
    expected = [(bytes([10, 77, 0, 1]), number, length) for number, length in enumerate(LENGTHS)]
    expected.append((bytes([239, 1, 2, 3]), len(LENGTHS), 100))
    check(len(datagrams) == len(expected), f"{len(datagrams)} datagrams, not {len(expected)}")
    for (_, src, dst, ports, udp, length), (to, number, count) in zip(datagrams, expected):
        check(src == bytes([10, 77, 0, 1]) and dst == to and ports == (SEND, RECV), "a datagram's addresses are wrong")
        check(length == 8 + count, f"datagram {number} has {length - 8} bytes")
        check(udp[8:] == pattern(number, count)[: max(snap - 42, 0)], f"datagram {number} has other bytes")
    check(all(len(frame) <= snap for frame, _ in packets), "a frame is longer than asked")
    connections = segments(packets)
    check([ports[1] for ports, _, _ in connections] == [LISTEN, LISTEN, NOBODY], "not the three connections")
    (_, out, back), (_, aborted, _), (_, _, refusal) = connections
    check((out.length, back.length) == (STREAM, BACK), f"the streams have {out.length} and {back.length} bytes")
    check((out.flags, back.flags) == ("SF", "SF"), "the connection does not begin and end as it did")
    check("R" in aborted.flags and refusal.flags == "R", "resets are missing")
    if snap >= 1 << 20:
        check(out.data == pattern(100, STREAM) and back.data == pattern(101, BACK), "a stream has other bytes")


def main():
    what, number = sys.argv[1], int(sys.argv[3]) if len(sys.argv) > 3 else 0
    file = File(sys.argv[2])
    check(file.interfaces and len(file.statistics) == len(file.interfaces), "not every interface has statistics")
    frames = sum(pair[0] for pair in file.statistics.values())
    dropped = sum(pair[1] for pair in file.statistics.values())
    times = [packet[1] for packet in file.packets]
    check(times == sorted(times), "the frames of one queue are not in order")
    check(all(packet[4] == 0 for packet in file.packets), "a local frame has a direction")
    if what == "counts":
        check(len(file.packets) == number, f"{len(file.packets)} frames, not {number}")
    elif what == "dropped":
        check(dropped > 0 and frames == len(file.packets) + dropped, f"{frames} frames, {dropped} dropped")
    else:
        check(dropped == 0 and frames == len(file.packets), f"{frames} frames, {dropped} dropped")
    if what in ("traffic", "snap"):
        traffic(file, number if what == "snap" else 1 << 20)
    print(f"{len(file.packets)} frames")


main()
