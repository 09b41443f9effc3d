#!/usr/bin/env python3
"""The repository's own rules, which no compiler checks. Each finding names file, line and rule; exit status 1 with any."""
import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
SOURCE = {".c", ".h", ".cc"}
LONGEST_FILE = 800
LONGEST_FUNCTION = 80  # 60 is the aim; a state machine may be longer

WINDOWS_FOLDERS = ("rings/os/", "provider/spi/", "provider/rio/", "provider/host/", "provider/run/", "provider/ctl/",
                   "bench/", "tests/", "dataplane/nic_pcap_win32.c")  # the one driver wrapper that must ask Windows
PLATFORM = re.compile(r"^\s*#\s*(if|ifdef|ifndef|elif)\b.*\b(_WIN32|_WIN64|__MINGW\w*|__linux__|__unix__)\b")
WINDOWS_HEADER = re.compile(r"#\s*include\s*<(windows|winsock2?|ws2\w*|mswsock|winternl|sporder)\.h>", re.I)
# A package registry or mirror is named by the system's own lists at run time, never by the tree.
REGISTRY = re.compile(r"https?://[\w.-]*(debian|ubuntu|pypi|pythonhosted|npmjs|registry|crates|mirror|snapshot)[\w.-]*", re.I)
MARKS = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b|\bnot imple" r"mented\b|\bfor n" r"ow\b")


def tracked():
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=TOP,
                           capture_output=True, check=True).stdout.decode().split("\0")
    return [name for name in names if name and (TOP / name).is_file()]


def long_functions(lines):
    start = None
    for number, line in enumerate(lines, 1):
        if line.startswith("{"):
            start = number
        elif re.match(r"[A-Za-z].*\)\s*\{$", line):
            start = number
        elif line.startswith("}") and start:
            if number - start - 1 > LONGEST_FUNCTION:
                yield start, number - start - 1
            start = None


def check(name):
    try:
        lines = (TOP / name).read_text().splitlines()
    except UnicodeDecodeError:
        return
    is_source = pathlib.Path(name).suffix in SOURCE
    if is_source and len(lines) >= LONGEST_FILE:
        yield len(lines), f"file has {len(lines)} lines, the limit is {LONGEST_FILE}"
    if is_source:
        for number, length in long_functions(lines):
            yield number, f"function of {length} lines, the limit is {LONGEST_FUNCTION}"
    for number, line in enumerate(lines, 1):
        if is_source and PLATFORM.search(line) and not name.startswith("rings/os/"):
            yield number, "platform test outside rings/os: choose the file in CMake"
        if is_source and WINDOWS_HEADER.search(line) and not name.startswith(WINDOWS_FOLDERS):
            yield number, "Windows header in a portable folder"
        if REGISTRY.search(line):
            yield number, "host name of a package registry"
        if MARKS.search(line):
            yield number, "mark for later: do it or write it into the issue"


def main():
    names = tracked()
    findings = 0
    for name in names:
        for number, text in check(name):
            findings += 1
            print(f"{name}:{number}: {text}")
    print(f"rules: {len(names)} files, {findings} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
