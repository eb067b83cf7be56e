#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Mutation score: of the changes that `mutmut run` made to each file, the share that made a test fail.

::

    python scripts/mutation_score.py                   the table; exit code 1 if a part is below the bar
    python scripts/mutation_score.py --show geometry   the changes to files of that name that no test noticed

Reads the results under `mutants/`. A change is noticed when a test fails or runs out of time; one that no test reaches
is missed. The bar holds for a part, which is a pattern of `only_mutate` in pyproject.toml, because single files have
changes that make no difference: an HTML parser mends what the change broke, a `strict=True` never has to act.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatch

from mutmut.configuration import config
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files

BAR = 0.9
NOTICED = ("killed", "timeout")
UNTESTED = "not checked"


def main() -> int:
    """Print the scores or the missed changes; returns the exit code."""
    parser = argparse.ArgumentParser(description="Mutation score per file.")
    parser.add_argument(
        "--show", metavar="TEXT", help="missed changes of files with TEXT in the path"
    )
    options = parser.parse_args()
    if options.show is None:
        return print_scores(dict(results()))
    for path, statuses in results():
        if options.show in path:
            print_missed(statuses)
    return 0


def results() -> Iterator[tuple[str, dict[str, str]]]:
    """Each changed file, with the status of each of its changes by name."""
    for path in sorted(walk_mutatable_files()):
        data = SourceFileMutationData(path=path)
        data.load()
        if data.exit_code_by_key:
            yield str(path), {k: status_by_exit_code[v] for k, v in data.exit_code_by_key.items()}


def print_scores(files: dict[str, dict[str, str]]) -> int:
    """Each part with its files; 1 if a part is below the bar, or anything is not yet tested."""
    is_low = not files
    for part in config().only_mutate:
        members = {
            path: counted(statuses) for path, statuses in files.items() if fnmatch(path, part)
        }
        if not members:
            continue
        total = sum(members.values(), Counter())
        is_low |= total["noticed"] < BAR * total["tested"] or total[UNTESTED] > 0
        print(line(part, total))
        if len(members) > 1:
            for path, counts in members.items():
                print("  " + line(path, counts))
    print(f"bar: {BAR:.0%} of each part")
    return int(is_low)


def counted(statuses: dict[str, str]) -> Counter[str]:
    """How many changes were tested, noticed, and are not yet tested."""
    counts = Counter(statuses.values())
    noticed = sum(counts[status] for status in NOTICED)
    tested = len(statuses) - counts[UNTESTED]
    return Counter({"noticed": noticed, "tested": tested, UNTESTED: counts[UNTESTED]})


def line(name: str, counts: Counter[str]) -> str:
    """Share, counts and name."""
    share = f"{counts['noticed'] / counts['tested']:6.1%}" if counts["tested"] else "     -"
    left = f", {counts[UNTESTED]} not yet tested" if counts[UNTESTED] else ""
    return f"{share}  {counts['noticed']:5} of {counts['tested']:5}  {name}{left}"


def print_missed(statuses: dict[str, str]) -> None:
    """The diff of each change that no test noticed."""
    for name, status in statuses.items():
        if status not in (*NOTICED, UNTESTED):
            print(f"# {name}: {status}")
            print(get_diff_for_mutant(name))


if __name__ == "__main__":
    sys.exit(main())
