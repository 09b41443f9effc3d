#!/usr/bin/env python3
"""ctl_check.py empty|sockets|closed FILE [BEFORE]: is the JSON that ringsockctl wrote what tests/programs/ctl_client.c left behind?
BEFORE: a report from before; all that is in use must be as it was. Exit status 1 says what is not so."""
import json
import sys

# port: local, peer, state, unread datagrams, dropped, errors
SOCKETS = {
    5001: ("10.77.0.1:5001", "-", "bound", 5, 0, 0),
    5002: ("10.77.0.1:5002", "10.77.0.1:5001", "connected", 0, 0, 0),
    5003: ("*:5003", "-", "bound", 1, 9, 0),
    5004: ("*:5004", "-", "bound", 0, 0, 0),
    5005: ("*:5005", "-", "bound", 0, 0, 1),
}
LISTENER = "10.77.0.1:6000"
BACKLOG = 4  # and as many places are kept ready for it
CONNECTIONS = 2  # with both ends here; the second waits to be accepted
STREAMS = 1 + 2 * CONNECTIONS + BACKLOG
RECORD_BYTES = 128  # a record of 100 bytes of payload in a receive ring: 24 of header, whole lines


def want(what, is_, should):
    if is_ != should:
        sys.exit(f"{what} is {is_!r}, not {should!r}")


def check_streams(sockets):
    states = {}
    for socket in sockets:
        states.setdefault(socket["state"], []).append(socket)
        want("told", socket["told"], True)
        want("orphan", socket["orphan"], False)
    want("streams by state", {state: len(some) for state, some in states.items()},
         {"LISTEN": 1, "ESTABLISHED": 2 * CONNECTIONS, "place": BACKLOG})
    listener = states["LISTEN"][0]
    want("listener", (listener["local"], listener["peer"]), (LISTENER, "-"))
    want("backlog", listener["backlog"], {"waiting": 1, "limit": BACKLOG})
    for place in states["place"]:
        want("place", (place["local"], place["peer"], place["unread_bytes"]), ("-", "-", 0))
    want("connecting ends", sum(s["peer"] == LISTENER for s in states["ESTABLISHED"]), CONNECTIONS)
    want("accepted ends", sum(s["local"] == LISTENER for s in states["ESTABLISHED"]), CONNECTIONS)
    for socket in states["ESTABLISHED"]:
        want("both ends", socket["both_ends_here"], True)
        want("unread", socket["unread_bytes"], socket["tcp"]["received_bytes"])
        want("unsent", socket["unsent_bytes"], 0)
        want("resent", socket["tcp"]["retransmitted_bytes"], 0)
        want("window", socket["tcp"]["recv_window_bytes"] + socket["unread_bytes"], socket["tcp"]["recv_buffer_bytes"])
    want("unread by end", sorted(s["unread_bytes"] for s in states["ESTABLISHED"]), [0, 0, 0, 7])
    want("sent by end", sorted(s["tcp"]["sent_bytes"] for s in states["ESTABLISHED"]), [0, 0, 0, 7])


def check_sockets(report):
    want("number of sockets", len(report["sockets"]), len(SOCKETS) + STREAMS)
    session, = report["sessions"]
    check_streams([socket for socket in report["sockets"] if socket["type"] == "tcp"])
    for socket in (socket for socket in report["sockets"] if socket["type"] != "tcp"):
        port = int(socket["local"].rsplit(":", 1)[1])
        local, peer, state, unread, dropped, errors = SOCKETS[port]
        want(f"{port}: local", socket["local"], local)
        want(f"{port}: peer", socket["peer"], peer)
        want(f"{port}: state", socket["state"], state)
        want(f"{port}: unread", socket["unread_bytes"], unread * RECORD_BYTES)
        want(f"{port}: unread by queue", socket["unread_bytes_by_queue"], {"0": unread * RECORD_BYTES})
        want(f"{port}: dropped", socket["dropped"], {"receive_full": dropped, "errors": errors})
        want(f"{port}: last error", socket["last_error"], "network unreachable" if errors else "ok")
        want(f"{port}: unsent", socket["unsent_bytes"], 0)
        want(f"{port}: session", socket["session"], session["id"])
        want(f"{port}: queue", socket["queue"], 0)
        want(f"{port}: type", socket["type"], "udp")
    want("session's sockets", session["sockets"], len(SOCKETS) + STREAMS)
    want("session's state", session["state"], "live")
    want("session's channels", session["channels"], 1)
    want("session's program", session["program"].split(".")[0], "ctl_client")
    want("ports", sorted((p["port"], p["address"]) for p in report["ports"]),
         sorted([(p, "10.77.0.1" if p < 5003 else "0.0.0.0") for p in SOCKETS] + [(6000, "10.77.0.1")]))
    counters = report["queues"][0]["counters"]
    for name, value in {"udp_sends": 16, "recv_ring_full": 9, "deliveries": 6, "send_no_route": 1}.items():
        want(name, counters[name], value)
    in_use = report["in_use"]
    for name, value in {"sessions": 1, "sockets": len(SOCKETS) + STREAMS, "ports": 5, "tcp_ports": 1, "channels": 1, "bound_sockets": 5, "memberships": 1,
                        "peers": 0, "extents": session["extents"], "session_bytes": session["memory_bytes"]}.items():
        want(name, in_use[name], value)


def check_no_sockets(report, sessions):
    want("sockets", report["sockets"], [])
    want("ports", report["ports"], [])
    want("sessions", len(report["sessions"]), sessions)
    for name in ("sockets", "ports", "tcp_ports", "bound_sockets", "memberships"):
        want(name, report["in_use"][name], 0)


def main():
    what, file = sys.argv[1:3]
    with open(file) as text:
        report = json.load(text)
    if what == "sockets":
        check_sockets(report)
    else:
        check_no_sockets(report, 1 if what == "closed" else 0)
    if len(sys.argv) > 3:
        with open(sys.argv[3]) as text:
            want("what is in use", report["in_use"], json.load(text)["in_use"])


main()
