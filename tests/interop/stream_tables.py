#!/usr/bin/env python3
"""stream_tables.py BEFORE NOW: is everything that a run used given back? Two reports of ringsockctl status --json.
Exit status 1 says what is not; TIME_WAITs and half-open connections have their own time, so the caller asks again."""
import json
import sys


def main():
    before, now = (json.load(open(file)) for file in sys.argv[1:3])
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
    if left:
        sys.exit("; ".join(left))


main()
