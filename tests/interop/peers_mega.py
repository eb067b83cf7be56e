# SPDX-License-Identifier: Apache-2.0
"""The metrics of MEGA-Bench as VLMEvalKit carries them: one field of an answer, or a whole answer.

Formulas are read by sympy's grammar, which wants another release of ANTLR than other rules of theirs do; it has a
folder of its own, and modules of one release are out of sight while the other is at work.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ANTLR = Path(__file__).parents[2] / ".harnesses" / "antlr-4.11"
_FOLDER = "vlmeval.dataset.utils.megabench"
_IN_SIGHT: dict[str, Any] = {}


def kit_mega(answer: str, truth: Mapping[str, Any]) -> float:
    """One field: a text, or the value that it spells as JSON where `truth` says so."""
    said = json.loads(answer) if truth.get("is_json") else answer
    return _field_score(truth["metric"], said, truth["gold"])


def kit_mega_answer(answer: str, truth: Mapping[str, Any]) -> float:
    """A whole answer: read, scored field by field and added up; below 0 stands for "left out", which sums to 0."""
    gold = dict(truth["answer"])
    parsing = importlib.import_module(f"{_FOLDER}.response_parse_type").ResponseParseType
    parser = parsing.from_string(truth["form"])
    if parser.is_single_field_parser():
        (key,) = gold
        said = parser.parse(answer, key, is_single_line_ans="\n" not in gold[key])
    else:
        said = parser.parse(answer)
        if not isinstance(said, dict) or not said:
            said = dict.fromkeys(gold, answer)  # as their evaluator does
    scores = {
        name: _field_score(metric, said.get(name, ""), gold.get(name, ""))
        for name, metric in truth["metrics"].items()
    }
    sums = importlib.import_module(f"{_FOLDER}.aggregation_type").AggregationType
    return max(0.0, float(sums.from_string(truth["sum"]).aggregate(scores, truth["weights"])))


def _field_score(name: str, said: Any, gold: Any) -> float:
    kinds = importlib.import_module(f"{_FOLDER}.metric_type").MetricType
    as_string = importlib.import_module(f"{_FOLDER}.parsing.common.utils").evaluate_as_string
    metric = kinds.from_string(name)
    with _antlr_of_sympy():
        if metric is kinds.XML_NORM_POINT_IN_BBOX:
            return float(metric.match(said, {"bounding_boxes": gold})[0])
        return float(metric.match(said, as_string(gold)))


@contextlib.contextmanager
def _antlr_of_sympy() -> Iterator[None]:
    """Show the release of ANTLR that sympy reads formulas with, and nothing of the other."""
    aside = _swapped(_IN_SIGHT)
    sys.path.insert(0, str(ANTLR))
    try:
        yield
    finally:
        sys.path.remove(str(ANTLR))
        _IN_SIGHT.update(_swapped(aside))


def _swapped(shown: Mapping[str, Any]) -> dict[str, Any]:
    """Put modules of ANTLR in place of those that are loaded, which come back."""
    loaded = [name for name in sys.modules if name.partition(".")[0] == "antlr4"]
    aside = {name: sys.modules.pop(name) for name in loaded}
    sys.modules.update(shown)
    return aside
