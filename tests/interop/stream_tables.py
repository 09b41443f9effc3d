#!/usr/bin/env python3
"""stream_tables.py BEFORE NOW COUNTERS: is everything that a run used given back? Two reports of ringsockctl status --json, and
one of ringsockctl counters --json: no frame was lost for want of room among those that wait for a neighbour.
Exit status 1 says what is not; TIME_WAITs and half-open connections have their own time, so the caller asks again."""
import json
import sys


def main():
    before, now, counters = (json.load(open(file)) for file in sys.argv[1:4])
    left = []
    for name, value in now["in_use"].items():
        # Most of the buffers lie in receive descriptors, and the driver gives others back when it likes.
        if name != "nic_buffers" and value != before["in_use"][name]:
            left.append(f"in_use {name} is {value}, was {before['in_use'][name]}")
    for queue in now["queues"]:
        for name in ("connections", "half_open", "time_waits"):
            if queue["tcp"][name] != 0:
                left.append(f"{queue['nic']}: {name} {queue['tcp'][name]}")
    for name in ("poisoned", "malformed"):
        if now["control"][name] != 0:
            left.append(f"control {name} {now['control'][name]}")
    left += [f"{queue['nic']}: neighbour_queue_full {queue['counters']['neighbour_queue_full']}"
             for queue in counters["queues"] if queue["counters"]["neighbour_queue_full"] != 0]
    if left:
        sys.exit("; ".join(left))


main()
