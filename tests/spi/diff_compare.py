#!/usr/bin/env python3
"""diff_compare.py [--known FILE] [--again COMMAND COMMAND] RINGSOCK SYSTEM: two traces of tests/spi/diff.c, line by line.

Exit status 0: every difference is listed in FILE (diff_known.ini says how) and every listed one that is not rare was seen. The first unlisted
difference of each seed is printed with what led to it; the first of them is made smaller where --again gives the two commands that
run chosen calls of a seed (`COMMAND TRACE --only SEED`, masks on stdin). --seen-enough N: listed differences that did not occur
fail only in runs of at least N seeds, as a short one need not meet them all.
"""
import argparse
import configparser
import pathlib
import re
import subprocess
import sys
import tempfile

ROUNDS = 12  # of making smaller
SHOWN = 3


class Line:
    def __init__(self, text):
        self.index, self.slots, self.rest = text.split("|", 2)
        self.index = int(self.index)
        self.slots = set(self.slots)
        self.call, _, self.result = self.rest.partition(" => ")
        self.name = self.call.split(" ", 1)[0]
        self.plain = re.sub(r"\[[^]]*\]", "[]", self.rest)  # without what the model thinks, which follows the results
        self.plain_call = self.plain.partition(" => ")[0]


class Rule:
    def __init__(self, name, section):
        self.name = name
        for key in ("call", "ringsock", "system", "rule", "right"):
            if key not in section:
                sys.exit(f"{name}: no {key}")
        self.call, self.ringsock, self.system = (re.compile(section[key]) for key in ("call", "ringsock", "system"))
        unknown = set(section) - {"call", "ringsock", "system", "rule", "right", "then", "rare"}
        if unknown:
            sys.exit(f"{name}: {', '.join(sorted(unknown))}?")
        self.then = section.get("then", "goes on")
        self.rare = section.getboolean("rare", False)
        if self.then not in ("goes on", "sockets", "sequence"):
            sys.exit(f"{name}: then = {self.then}")
        self.seen = 0

    def fits(self, ours, theirs):
        left, right = self.ringsock.fullmatch(ours.result), self.system.fullmatch(theirs.result)
        return (left and right and self.call.fullmatch(ours.call) and
                all(right[name] in (None, left[name]) for name in left.groupdict().keys() & right.groupdict().keys()))


def read_rules(path):
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    parser.read_string(pathlib.Path(path).read_text())
    return [Rule(name, parser[name]) for name in parser.sections()]


def read_trace(path):
    """The runs of a trace: (seed, lines) each."""
    runs = []
    for text in pathlib.Path(path).read_text(errors="replace").splitlines():
        if text.startswith("seed "):
            runs.append((int(text[5:]), []))
        else:
            runs[-1][1].append(Line(text))
    return runs


def compare(ours, theirs, rules, every=None):
    """The first difference that no rule has: the position, or None. With a list `every` all of them are put there, and None."""
    tainted = set()  # sockets whose state differs, since a listed difference
    for at in range(max(len(ours), len(theirs))):
        if at >= len(ours) or at >= len(theirs):
            return None if tainted else at
        left, right = ours[at], theirs[at]
        if left.index != right.index:
            return None if tainted else at
        slots = left.slots | right.slots
        if left.name.startswith("new-") and left.plain == right.plain and left.slots == right.slots:
            tainted -= left.slots if len(left.slots) == 1 else set()
        elif slots & tainted:
            tainted |= slots
            continue
        if left.plain == right.plain:
            continue
        rule = next((rule for rule in rules if left.plain_call == right.plain_call and rule.fits(left, right)), None)
        if rule is None and every is not None:
            every.append(at)
            tainted |= slots
            continue
        if rule is None:
            return at
        rule.seen += 1
        if rule.then == "sequence":
            return None
        if rule.then == "sockets":
            tainted |= slots
    return None


def signature(ours, theirs, at):
    """What makes two differences the same one: the call and both results, without states, numbers of sockets and of bytes."""
    def plain(lines):
        if at >= len(lines):
            return "nothing"
        text = f"{lines[at].name} {lines[at].result}"
        return re.sub(r"sum=[0-9a-f]+|\d+", "#", text)
    return plain(ours), plain(theirs)


def again(commands, seed, kept, folder):
    """Runs the seed once for each list of calls in kept; the pairs of runs."""
    masks = "".join(f"{sum(1 << call for call in calls):x}\n" for calls in kept)
    traces = []
    for number, command in enumerate(commands):
        trace = f"{folder}/again{number}.trace"
        done = subprocess.run(command.split() + [trace, "--only", str(seed)], input=masks, text=True, timeout=600, check=False)
        if done.returncode != 0:
            return None
        traces.append(read_trace(trace))
    return list(zip(*traces))


def make_smaller(commands, seed, ours, theirs, at, rules):
    """Leaves out calls as long as the difference stays; all of a round's candidates in one run. Returns the two runs and the position."""
    wanted = signature(ours, theirs, at)
    calls = sorted({line.index for line in (ours + theirs)[:]} | {line.index for line in theirs})
    calls = [call for call in calls if at >= len(ours) or call <= ours[at].index]
    best = (ours, theirs, at)
    with tempfile.TemporaryDirectory() as folder:
        piece = max(len(calls) // 2, 1)
        for _ in range(ROUNDS):
            kept = [calls[:begin] + calls[begin + piece:] for begin in range(0, len(calls), piece)]
            smaller = None
            for candidate, runs in zip(kept, again(commands, seed, kept, folder) or []):
                left, right = runs[0][1], runs[1][1]
                found = compare(left, right, rules)
                if found is not None and signature(left, right, found) == wanted:
                    smaller, best = candidate, (left, right, found)
            if smaller is not None:
                calls = smaller
                piece = min(piece, max(len(calls) // 2, 1))
            elif piece == 1:
                break
            else:
                piece //= 2
    return best


def show(seed, ours, theirs, at):
    print(f"seed {seed}: Ringsock and the system's Winsock differ")
    for line in ours[:at]:
        print(f"    {line.index:3d} {line.rest}")
    for who, lines in (("Ringsock", ours), ("system", theirs)):
        print(f"--> {lines[at].index:3d} {lines[at].rest}   [{who}]" if at < len(lines) else f"--> nothing more   [{who}]")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--known")
    parser.add_argument("--again", nargs=2)
    parser.add_argument("--seen-enough", type=int, default=2000)
    parser.add_argument("--every", action="store_true", help="one line for each kind of unlisted difference, also behind the first, with its count")
    parser.add_argument("traces", nargs=2)
    args = parser.parse_args()
    rules = read_rules(args.known) if args.known else []
    ours, theirs = (read_trace(path) for path in args.traces)
    if [seed for seed, _ in ours] != [seed for seed, _ in theirs] or not ours:
        print(f"not the same seeds: {len(ours)} and {len(theirs)}")
        return 1
    found = []
    kinds = {}
    for (seed, left), (_, right) in zip(ours, theirs):
        at = compare(left, right, rules)
        if at is not None:
            found.append((seed, left, right, at))
    counts = [rule.seen for rule in rules]  # what follows runs more
    for (seed, left), (_, right) in zip(ours, theirs) if args.every else ():
        every = []
        compare(left, right, rules, every)
        for at in every:
            kinds.setdefault(signature(left, right, at), []).append((seed, left[at].call))
    if args.every:
        for kind, seeds in sorted(kinds.items(), key=lambda item: -len(item[1])):
            print(f"{len(seeds):5d}  {kind[0]}   |   {kind[1]}   (seed {seeds[0][0]}: {seeds[0][1]})")
    shown = set()
    for seed, left, right, at in found:
        kind = signature(left, right, at)
        if kind in shown or len(shown) == SHOWN:
            continue
        shown.add(kind)
        if args.again and len(shown) == 1:
            left, right, at = make_smaller(args.again, seed, left, right, at, rules)
        show(seed, left, right, at)
    lines = sum(len(run) for _, run in ours)
    unseen = [rule.name for rule, count in zip(rules, counts) if count == 0 and not rule.rare]
    print(f"{len(ours)} seeds from {ours[0][0]}, {lines} calls: {len(found)} seeds with an unlisted difference, "
          f"{sum(counts)} listed differences of {sum(count > 0 for count in counts)} kinds")
    if unseen and len(ours) >= args.seen_enough:
        print("listed and not seen: " + ", ".join(unseen))
    return 1 if found or (unseen and len(ours) >= args.seen_enough) else 0


if __name__ == "__main__":
    sys.exit(main())
