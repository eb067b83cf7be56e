# SPDX-License-Identifier: Apache-2.0
"""axe-core as an independent check of web pages; it is not part of this project, and tests skip without it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REAL = os.environ.get("FINESIGHT_REAL_DATA")
AXE = Path(REAL or "/nowhere") / "axe_core" / "axe.min.js"

needs_axe = pytest.mark.skipif(
    not AXE.is_file(),
    reason="axe-core is not here: python scripts/fetch_real_data.py DIR axe_core, and FINESIGHT_REAL_DATA=DIR",
)
SERIOUS = ("serious", "critical")
_RUN = """async (rules) => {
  const options = rules ? { runOnly: { type: "rule", values: rules } } : {};
  const found = await axe.run(document, options);
  return found.violations.map(({ id, impact, nodes }) => ({ id, impact, nodes: nodes.map((node) => {
    const box = document.querySelector(node.target[0]).getBoundingClientRect();
    return { html: node.html.slice(0, 200), why: node.failureSummary, box: [box.left, box.top, box.right, box.bottom] };
  }) }));
}"""


def violations(evaluate, rules=None) -> list[dict]:
    """What axe-core finds on an open page.

    Args:
        evaluate: runs a script on the page, with an argument.
        rules: names of the rules; None takes all.
    """
    evaluate(f"(() => {{ {AXE.read_text(encoding='utf-8')} }})()", None)
    return evaluate(_RUN, rules)


def serious(evaluate) -> list[str]:
    """Serious violations in words."""
    return [
        f"{one['id']}: {node['html']}: {node['why']}"
        for one in violations(evaluate)
        if one["impact"] in SERIOUS
        for node in one["nodes"]
    ]
