#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Mutation score of each file that `mutmut run` changed: the share of changes that made a test fail.

::

    python scripts/mutation_score.py                 prints the table, exit code 1 if a file is below the bar
    python scripts/mutation_score.py --show geometry prints the changes to that file that no test noticed

Reads the results under `mutants/`. A change counts as noticed when a test fails or runs out of time; one that no test
reaches counts as missed. Files with nothing to change are left out.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files

BAR = 0.9
NOTICED = ("killed", "timeout")


def main() -> int:
    """Print the scores or the missed changes; returns the exit code."""
    parser = argparse.ArgumentParser(description="Mutation score per file.")
    parser.add_argument(
        "--show", metavar="TEXT", help="missed changes of files with TEXT in the path"
    )
    options = parser.parse_args()
    if options.show is not None:
        for path, statuses in results():
            if options.show in path:
                show_missed(statuses)
        return 0
    return print_table()


def results() -> Iterator[tuple[str, dict[str, str]]]:
    """Each file with the status of each of its changes by name."""
    for path in sorted(walk_mutatable_files()):
        data = SourceFileMutationData(path=path)
        data.load()
        if data.exit_code_by_key:
            yield str(path), {k: status_by_exit_code[v] for k, v in data.exit_code_by_key.items()}


def print_table() -> int:
    """One line per file; 1 if a file is below the bar, has untested changes or nothing was run."""
    is_low = unfinished = 0
    scores = list(results())
    for path, statuses in scores:
        counts = Counter(statuses.values())
        unfinished += counts["not checked"]
        tested = len(statuses) - counts["not checked"]
        noticed = sum(counts[status] for status in NOTICED)
        is_low += tested == 0 or noticed < BAR * tested
        share = f"{noticed / tested:6.1%}" if tested else "     -"
        print(f"{share}  {noticed:5} of {tested:5}  {path}")
    print(
        f"bar: {BAR:.0%}; {is_low} of {len(scores)} files below it; {unfinished} changes not yet tested"
    )
    return int(is_low > 0 or unfinished > 0 or not scores)


def show_missed(statuses: dict[str, str]) -> None:
    """The diff of each change that no test noticed."""
    for name, status in statuses.items():
        if status not in (*NOTICED, "not checked"):
            print(f"# {name}: {status}")
            print(get_diff_for_mutant(name))


if __name__ == "__main__":
    sys.exit(main())
