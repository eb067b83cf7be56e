# SPDX-License-Identifier: Apache-2.0
"""Reads `{"rule", "answer", "truth"}` a line, writes what the rule of the other harness gives, a line each.

Run by the interpreter of their environment from the root of the repository: `python -m tests.interop.worker`. Answers
go to the descriptor that was standard output; whatever their code prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    from tests.interop import peers, peers_ccocr

    peers.prepare()
    scorers = {**peers.SCORERS, **peers_ccocr.SCORERS}
    for line in sys.stdin:
        asked = json.loads(line)
        scorer = scorers[asked["rule"]]
        answers.write(json.dumps(_given(scorer, asked)) + "\n")
        answers.flush()


def _given(scorer: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """The score, or how the rule failed: a rule that raises is a finding, not an end."""
    try:
        return {"score": scorer(asked["answer"], asked["truth"])}
    except Exception as error:
        return {"raised": f"{type(error).__name__}: {error}"[:300]}


if __name__ == "__main__":
    main()
