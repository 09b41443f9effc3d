#!/usr/bin/env python3
"""clang-tidy over a build's compile commands: tidy.py --build DIR [--not-in DIR]

A file that passed is remembered in the cache, for all clones, by a checksum over it, the headers of the tree that its object depends
on, its compile command, .clang-tidy and clang-tidy's version, so a second run looks only at what changed. --not-in leaves out the files which another
build has, so that a file is checked once. Exit status 1: findings, 77: no clang-tidy.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "ringsock" / "tidy"
KEPT_DAYS = 30  # since it was last of use


def compile_commands(build):
    path = pathlib.Path(build) / "compile_commands.json"
    if not path.exists():
        return {}
    commands = {}
    for entry in json.loads(path.read_text()):
        file = pathlib.Path(entry["directory"], entry["file"]).resolve()
        if file.suffix == ".c" and file.is_relative_to(TOP):
            commands.setdefault(file, entry)
    return commands


def dependencies(build):
    """Object file -> the tree's files it was made from, out of ninja's dependency log."""
    log = subprocess.run(["ninja", "-C", build, "-t", "deps"], capture_output=True, text=True, check=True).stdout
    found, target = {}, None
    for line in log.splitlines():
        if line and not line.startswith(" "):
            target = line.split(":", 1)[0]
            found[target] = []
        elif line.strip() and target:
            file = pathlib.Path(build, line.strip()).resolve()
            if file.is_relative_to(TOP) and not file.is_relative_to(TOP / "build"):
                found[target].append(file)
    return found


def object_of(entry):
    words = shlex.split(entry["command"])
    return words[words.index("-o") + 1]


def checksum(version, entry, files):
    digest = hashlib.sha256((version + entry["command"].replace(str(TOP), ".")).encode())
    for file in sorted({TOP / ".clang-tidy", *files}):
        content = file.read_bytes() if file.exists() else b"gone"
        digest.update(f"{file.relative_to(TOP)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def forget_old():
    oldest = time.time() - KEPT_DAYS * 86400
    for stamp in CACHE.iterdir():
        if stamp.stat().st_mtime < oldest:
            stamp.unlink(missing_ok=True)


def tidy_arguments(entry):
    """Options that clang needs besides the compiler's own: the target of a cross compiler, and none of gcc's warnings."""
    extra = ["--extra-arg=-Wno-unknown-warning-option"]
    compiler = pathlib.Path(shlex.split(entry["command"])[0]).name
    if "mingw32" in compiler:
        extra.append("--extra-arg=--target=" + compiler.split("-gcc")[0])
    return extra


def tidy(build, file, entry):
    command = ["clang-tidy", "--quiet", "-p", build, *tidy_arguments(entry), str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    noise = ("warnings generated", "Suppressed", "Use -header-filter", "warning generated")
    text = "\n".join(l for l in (done.stdout + done.stderr).splitlines() if not any(n in l for n in noise))
    return done.returncode == 0, text.strip()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--not-in")
    args = parser.parse_args()
    if not shutil.which("clang-tidy"):
        print("clang-tidy is not installed")
        return 77
    commands = compile_commands(args.build)
    skip = set(compile_commands(args.not_in)) if args.not_in else set()
    deps = dependencies(args.build)
    version = subprocess.run(["clang-tidy", "--version"], capture_output=True, text=True, check=True).stdout
    CACHE.mkdir(parents=True, exist_ok=True)
    forget_old()

    work = []
    for file, entry in sorted(commands.items()):
        if file in skip or not file.exists():
            continue
        stamp = CACHE / checksum(version, entry, [file, *deps.get(object_of(entry), [])])
        if stamp.exists():
            stamp.touch()
        else:
            work.append((file, entry, stamp))

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = {pool.submit(tidy, args.build, file, entry): (file, stamp) for file, entry, stamp in work}
        for run in concurrent.futures.as_completed(runs):
            file, stamp = runs[run]
            good, text = run.result()
            if good:
                stamp.touch()
            else:
                failed += 1
                print(f"== {file.relative_to(TOP)}\n{text}", flush=True)
    print(f"clang-tidy: {len(commands) - len(skip & set(commands))} files, {len(work)} looked at, {failed} with findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
