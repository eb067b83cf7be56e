# SPDX-License-Identifier: Apache-2.0
"""Prints what the comparison with other harnesses found, as Markdown: `python -m tests.interop.table`."""

from __future__ import annotations

import sys
from collections import Counter

from tests.interop.compare import Findings, Worker, findings_of
from tests.interop.comparisons import COMPARISONS
from tests.interop.differences import DIFFERENCES

PEERS = {"lmms": "lmms-eval", "kit": "VLMEvalKit"}


def row(found: Findings) -> str:
    """One line of the table."""
    one = found.comparison
    listed = ", ".join(f"{name} {count}" for name, count in found.listed.most_common()) or "-"
    kind = "copied rule" if one.is_copy else ""
    cells = (one.name, PEERS[one.rule.split("_")[0]], kind, found.total, found.num_equal, listed)
    return f"| {' | '.join(map(str, cells))} |"


def main() -> int:
    """Compare, print the table and the classes; 1 where a difference is in no class."""
    counts: Counter[str] = Counter()
    num_unlisted = 0
    print(
        "| metric or rule | beside | | answers | equal | differences |\n|---|---|---|---|---|---|"
    )
    with Worker() as worker:
        for comparison in COMPARISONS:
            found = findings_of(worker, comparison, DIFFERENCES)
            counts.update(found.listed)
            num_unlisted += len(found.unlisted)
            print(row(found), flush=True)
    print(f"\n{num_unlisted} answers differ in a way that is not listed.\n")
    print("| difference | answers | right | why |\n|---|---|---|---|")
    for each in DIFFERENCES:
        print(f"| {each.name} | {counts[each.name]} | {each.right} | {each.why} |")
    return int(bool(num_unlisted))


if __name__ == "__main__":
    sys.exit(main())
