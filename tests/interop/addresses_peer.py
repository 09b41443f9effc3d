#!/usr/bin/env python3
"""addresses_peer.py: the kernel's side of addresses_side. Arguments: its addresses.

UDP port 7100 answers each datagram with the source it saw (a line "ADDRESS PORT"). TCP port 7100 takes one line for each connection:
  who               answers with the source it saw
  dial ADDRESS PORT  connects there, sends "hello", and answers "ok" when the other end says the same and has that address
  udp ADDRESS PORT   the same with a datagram
"""
import selectors
import socket
import sys

WAIT_S = 5


def exchange(kind, address, port):
    """What came back for a hello, from that very address."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.settimeout(WAIT_S)
        probe.connect((address, port))
        probe.sendall(b"hello")
        answer = probe.recv(64)
        peer = probe.getpeername()
        return "ok" if answer == b"hello" and peer == (address, port) else f"{answer!r} from {peer}"


def serve(listener):
    connection, seen = listener.accept()
    with connection:
        connection.settimeout(WAIT_S)
        words = connection.makefile("rb").readline().decode().split()
        try:
            if words[:1] == ["who"]:
                answer = f"{seen[0]} {seen[1]}"
            elif words[0] == "dial":
                answer = exchange(socket.SOCK_STREAM, words[1], int(words[2]))
            else:
                answer = exchange(socket.SOCK_DGRAM, words[1], int(words[2]))
        except (OSError, IndexError, ValueError) as error:
            answer = f"{words}: {error}"
        connection.sendall(answer.encode() + b"\n")


def main():
    listener = socket.create_server(("0.0.0.0", 7100))
    # One socket for each address, so that an answer comes from the address that was asked.
    asked = []
    for address in sys.argv[1:]:
        asked.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        asked[-1].bind((address, 7100))
    waiting = selectors.DefaultSelector()
    for each in [listener, *asked]:
        waiting.register(each, selectors.EVENT_READ)
    print("addresses_peer: ready", flush=True)
    while True:
        for key, _ in waiting.select():
            if key.fileobj is listener:
                serve(listener)
            else:
                _, seen = key.fileobj.recvfrom(64)
                key.fileobj.sendto(f"{seen[0]} {seen[1]}\n".encode(), seen)


main()
