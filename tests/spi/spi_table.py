#!/usr/bin/env python3
"""spi_table.py --dataplane FILE FOLDER PROGRAM...: one table of what all case programs found, function x cases x passed.

Each program (spi_test.c) leaves FOLDER/PROGRAM.cases: lines of function, rule and passed, failed or skipped, and "end". A rule that several
programs hold counts once, and as passed if it passed wherever it ran; one that all of them skipped does not count. Written to
FOLDER/table.txt, too. Exit status 1: a case failed, a program did not come to its end, or a function has fewer cases than it should;
77: no dataplane, so not all programs ran.
"""
import pathlib
import sys

FLOOR = 4  # cases, of each function
AVERAGE = 15  # cases a function
PROVIDER = """
    WSPStartup WSPAccept WSPAddressToString WSPAsyncSelect WSPBind WSPCancelBlockingCall WSPCleanup WSPCloseSocket WSPConnect
    WSPDuplicateSocket WSPEnumNetworkEvents WSPEventSelect WSPGetOverlappedResult WSPGetPeerName WSPGetSockName WSPGetSockOpt
    WSPGetQOSByName WSPIoctl WSPJoinLeaf WSPListen WSPRecv WSPRecvDisconnect WSPRecvFrom WSPSelect WSPSend WSPSendDisconnect
    WSPSendTo WSPSetSockOpt WSPShutdown WSPSocket WSPStringToAddress""".split()
EXTENSIONS = """
    TransmitFile AcceptEx GetAcceptExSockaddrs TransmitPackets ConnectEx DisconnectEx WSARecvMsg WSASendMsg WSAPoll""".split()


def read_cases(folder, programs):
    """(function, rule) -> the set of results; and what is wrong with the files."""
    cases = {}
    wrong = []
    paths = {path.stem: path for path in pathlib.Path(folder).glob("*.cases")}
    wrong += [f"{program}: did not run" for program in programs if program not in paths]
    for program, path in sorted(paths.items()):
        lines = path.read_text(errors="replace").splitlines()
        if not lines or lines[-1] != "end":
            wrong.append(f"{program}: did not come to its end")
        for line in lines:
            if line != "end":
                function, rule, result = line.split("\t")
                cases.setdefault((function, rule), set()).add(result)
    return cases, wrong


def tables(cases):
    """function -> [cases, passed]."""
    functions = {name: [0, 0] for name in PROVIDER + EXTENSIONS}
    for (function, _), results in sorted(cases.items()):
        ran = results - {"skipped"}
        count = functions.setdefault(function, [0, 0])
        count[0] += bool(ran)
        count[1] += ran == {"passed"}
    return functions


def main():
    dataplane, folder, programs = sys.argv[2], pathlib.Path(sys.argv[3]), sys.argv[4:]
    if not pathlib.Path(dataplane).exists():
        print(f"skipped: without {dataplane} not all programs run")
        return 77
    cases, wrong = read_cases(folder, programs)
    functions = tables(cases)
    lines = [f"{'function':28s} {'cases':>6s} {'passed':>6s}"]
    lines += [f"{name:28s} {count:6d} {passed:6d}" for name, (count, passed) in functions.items()]
    own = PROVIDER + EXTENSIONS
    average = sum(functions[name][0] for name in own) / len(own)
    lines.append(f"{'all':28s} {sum(c for c, _ in functions.values()):6d} {sum(p for _, p in functions.values()):6d}")
    lines.append(f"{'a function, on average':28s} {average:6.1f}")
    wrong += [f"{name}: {count - passed} failed" for name, (count, passed) in functions.items() if passed < count]
    wrong += [f"{name}: {functions[name][0]} cases, the floor is {FLOOR}" for name in own if functions[name][0] < FLOOR]
    if average < AVERAGE:
        wrong.append(f"{average:.1f} cases a function on average, the floor is {AVERAGE}")
    text = "\n".join(lines + wrong) + "\n"
    (folder / "table.txt").write_text(text)
    print(text, end="")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
