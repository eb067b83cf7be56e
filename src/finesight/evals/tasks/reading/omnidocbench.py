# SPDX-License-Identifier: Apache-2.0
"""OmniDocBench: pages to Markdown, scored by text, formulas, tables and reading order; lower is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from finesight.errors import EvalError
from finesight.evals.core.benchmark import Build
from finesight.evals.core.task import Scored
from finesight.evals.extract.text import WHOLE_TEXT
from finesight.evals.metrics.page_blocks import Block, Kind
from finesight.evals.metrics.page_match import page_distances
from finesight.evals.tasks.shared.aggregates import by_tag, mean, part
from finesight.evals.tasks.shared.build import build, rows
from finesight.evals.tasks.shared.columns import Row, picture, record
from finesight.evals.tasks.shared.questions import Question, Wording, template

LANGUAGES = {"en": ("english",), "zh": ("simplified_chinese", "en_ch_mixed")}
TEXT = ("text_block", "title", "code_txt", "code_txt_caption", "reference")
OTHER = (
    *("figure_caption", "figure_footnote", "table_caption", "table_footnote", "equation_caption"),
    *("code_algorithm", "code_algorithm_caption", "header", "footer", "page_footnote"),
    "page_number",
)
"""Categories of blocks that are not scored."""
KINDS: Mapping[str, tuple[Kind, str]] = {
    **dict.fromkeys(TEXT, ("text", "text")),
    **dict.fromkeys(OTHER, ("other", "text")),
    "equation_isolated": ("formula", "latex"),
    "table": ("table", "html"),
}
"""Category of a block -> how it is scored, and the field with its content; other categories are left out."""
QUOTED = ("text", "formula", "table", "order")
"""Distances whose mean the authors report as overall."""
REQUEST = (
    "You are an AI assistant specialized in converting PDF images to Markdown format. Convert the page: recognise all"
    " text; write formulas in LaTeX, with \\( \\) within a line and \\[ \\] on lines of their own; write tables as HTML"
    " in <table>; ignore figures; keep the structure clear. Give the Markdown and nothing else."
)


def page_blocks(dets: Sequence[Mapping[str, Any]], extra: Mapping[str, Any]) -> list[list[str]]:
    """Kind and text of each block of a page in reading order; parts of a split paragraph are joined."""
    kept = [
        each for each in dets if not each.get("ignore") and str(each.get("category_type")) in KINDS
    ]
    chains = _chains(extra)
    heads: dict[int, list[str]] = {}
    found: list[list[str]] = []
    for each in sorted(kept, key=_place):
        kind, name = KINDS[str(each["category_type"])]
        text = str(each.get(name) or "")
        chain = chains.get(each.get("anno_id"))
        if chain is not None and chain in heads:
            heads[chain][1] += text
            continue
        block = [str(kind), text]
        found.append(block)
        if chain is not None:
            heads[chain] = block
    return [block for block in found if block[1].strip()]


def _chains(extra: Mapping[str, Any]) -> dict[Any, int]:
    """Id of a block -> number of the split paragraph that it belongs to."""
    chains: dict[Any, int] = {}
    for number, relation in enumerate(extra.get("relation") or ()):
        if relation.get("relation_type") != "truncated":
            continue
        ends = [relation.get("source_anno_id"), relation.get("target_anno_id")]
        joined = {chains[end] for end in ends if end in chains}
        chains |= {name: number for name, chain in chains.items() if chain in joined}
        chains |= dict.fromkeys(ends, number)
    return chains


def _place(block: Mapping[str, Any]) -> float:
    """Position of a block in reading order; blocks without one come last."""
    order = block.get("order")
    return float("inf") if order is None else float(order)


def _of(language: str, row: Row, folder: Path) -> Question | Sequence[Question]:
    info = row["page_info"]
    attributes = info.get("page_attribute") or {}
    blocks = page_blocks(row["layout_dets"], record(row.get("extra")))
    scored = [text for kind, text in blocks if kind != "other"]
    if attributes.get("language") not in LANGUAGES[language] or not scored:
        return ()
    name = str(info["image_path"])
    written = [_written(kind, text) for kind, text in blocks if kind != "other"]
    return Question(
        id=name,
        text=REQUEST,
        truth={"blocks": blocks},
        oracle="\n\n".join(written),
        media=(picture(name, folder / "images", folder),),
        tags={"source": str(attributes.get("data_source", "other"))},
    )


def _written(kind: str, text: str) -> str:
    bare = text.strip().removeprefix("$$").removesuffix("$$").strip()
    return f"\\[\n{bare}\n\\]" if kind == "formula" else text


def _score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    return page_distances([_block(*each) for each in truth["blocks"]], str(parsed or ""))


def _block(kind: Any, text: str) -> Block:
    if kind not in ("text", "formula", "table", "other"):
        raise EvalError(f"a block is of kind {kind!r}, not text, formula, table or other")
    return Block(kind, text)


def _has(scored: Scored, name: str) -> bool:
    of = {"order": "text", "tree": "table", "tree_structure": "table"}.get(name, name)
    return any(kind == of for kind, _ in scored.item.truth["blocks"])


def _mean_of(name: str, scored: Sequence[Scored]) -> float | None:
    """Mean over the pages that have it, None without such a page; a failed item counts as distance 1."""
    pages = [one for one in scored if _has(one, name)]
    return mean(part(one, name, 1.0) for one in pages) if pages else None


def _overall(scored: Sequence[Scored]) -> float:
    found = (_mean_of(name, scored) for name in QUOTED)
    return mean(value for value in found if value is not None)


def _aggregate(scored: Sequence[Scored]) -> dict[str, float]:
    """Means over pages, the mean of the four kinds, and TEDS."""
    metrics = {"edit_distance": _overall(scored)}
    for name in QUOTED:
        value = _mean_of(name, scored)
        metrics |= {} if value is None else {f"{name}_distance": value}
    for name, printed in (("tree", "teds"), ("tree_structure", "teds_structure")):
        value = _mean_of(name, scored)
        metrics |= {} if value is None else {printed: 1.0 - value}
    metrics["extra"] = mean(part(one, "extra") for one in scored)
    for source, pages in by_tag(scored, "source").items():
        metrics[f"edit_distance/source/{source}"] = _overall(pages)
    return metrics


TASKS: Mapping[str, Build] = {
    f"omnidocbench_{language}": build(
        rows(partial(_of, language)),
        Wording("official", "after OmniDocBench's prompt for Qwen2-VL", template()),
        extractors=(WHOLE_TEXT,),
        score=_score,
        aggregate=_aggregate,
    )
    for language in LANGUAGES
}
