# SPDX-License-Identifier: Apache-2.0
"""The scorers of lmms-eval and VLMEvalKit, called from their own environment: one function per rule.

Each is a rule of theirs as it stands, loaded from its own file. The packages around those files fetch models, judges
and data sets when they are imported, which no rule needs; they are entered as folders only (`as_folder`). What is
done to the rules themselves is written at the place: a guess is made visible, and nothing else is touched.

A rule that gives up says None; one that takes a random option says `GUESS`.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import io
import os
import sys
import types
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

GUESS = "(guess)"
Scorer = Callable[[str, Mapping[str, Any]], Any]
_FOLDERS = (
    *("lmms_eval", "lmms_eval.api", "lmms_eval.filters", "lmms_eval.tasks"),
    *("vlmeval", "vlmeval.dataset", "vlmeval.dataset.utils", "vlmeval.dataset.GUI"),
)


def as_folder(name: str) -> None:
    """Let files below a package be imported without running the package itself."""
    top, *below = name.split(".")
    spec = importlib.util.find_spec(top) if top not in sys.modules else None
    places = list(spec.submodule_search_locations or ()) if spec else sys.modules[top].__path__
    module = types.ModuleType(name)
    module.__path__ = [str(Path(place).joinpath(*below)) for place in places]
    sys.modules[name] = module


def prepare() -> None:
    """Make their files importable: folders, and a place where they look for data that nobody has."""
    os.environ.setdefault("HF_HOME", "/nonexistent")
    for name in _FOLDERS:
        as_folder(name)


@cache
def rules_of(module: str) -> Any:
    """One file of theirs; what it prints while it is read is dropped."""
    with contextlib.redirect_stdout(io.StringIO()):
        return importlib.import_module(module)


def lmms(task: str) -> Any:
    return rules_of(f"lmms_eval.tasks.{task}")


def kit(name: str) -> Any:
    return rules_of(f"vlmeval.dataset.{name}")


# ------------------------------------------------------------------------------------------------ short answers


def lmms_anls(answer: str, truth: Mapping[str, Any]) -> float:
    from tests.support.torchvision_ops import declare_torchvision_ops

    declare_torchvision_ops()  # the file of their metrics imports everything else there is
    metrics = rules_of("lmms_eval.api.metrics")
    return float(metrics.anls(list(truth["golds"]), [answer])["anls"])


def kit_anls(answer: str, truth: Mapping[str, Any]) -> float:
    line = {"answer": str(list(truth["golds"])), "prediction": answer}
    vqa = kit("utils.vqa_eval")
    return float(vqa.hit_calculate([vqa.process_line(line, method="anls")], "DocVQA_VAL")[0])


def lmms_relaxed(answer: str, truth: Mapping[str, Any]) -> float:
    doc = {"type": "human_test", "answer": truth["golds"][0]}
    return float(lmms("chartqa.utils").chartqa_process_results(doc, [answer])["relaxed_overall"])


def kit_relaxed(answer: str, truth: Mapping[str, Any]) -> float:
    line = {"answer": str(list(truth["golds"])), "prediction": answer}
    vqa = kit("utils.vqa_eval")
    done = vqa.process_line(line, method="relaxed_accuracy")
    return float(vqa.hit_calculate([done], "ChartQA_TEST")[0])


def lmms_vqa(answer: str, truth: Mapping[str, Any]) -> float:
    doc = {"answers": list(truth["golds"]), "question_id": 1}
    return float(lmms("textvqa.utils").textvqa_process_results(doc, [answer])["exact_match"])


def kit_vqa(answer: str, truth: Mapping[str, Any]) -> float:
    line = {"answer": str(list(truth["golds"])), "prediction": answer}
    vqa = kit("utils.vqa_eval")
    return float(vqa.hit_calculate([vqa.process_line(line)], "TextVQA_VAL")[0])


def lmms_ocrbench(answer: str, truth: Mapping[str, Any]) -> float:
    is_formula = truth["kind"].startswith("Handwritten")
    doc = {
        "dataset": "HME100k" if is_formula else "SVT",
        "question_type": truth["kind"],
        "answer": list(truth["golds"]),
    }
    done = lmms("ocrbench.utils").ocrbench_process_results(doc, [answer])
    return float(done["ocrbench_accuracy"]["score"])


def kit_ocrbench(answer: str, truth: Mapping[str, Any]) -> float:
    """Their rule reads a table and writes a file; it gets a table of one row, and the file is kept from it."""
    import pandas

    module = kit("utils.ocrbench")
    row = {"prediction": answer, "answer": str(list(truth["golds"])), "category": truth["kind"]}
    written: list[Mapping[str, Any]] = []
    module.load = lambda _: pandas.DataFrame([row])
    module.dump = lambda scores, _: written.append(scores)
    with contextlib.redirect_stderr(io.StringIO()):
        module.OCRBench_eval("one.xlsx")
    return float(written[0]["Final Score"])


def lmms_ocrbench_v2(answer: str, truth: Mapping[str, Any]) -> float:
    """METEOR looks words up in WordNet, which no package carries; here it gets an empty one, and no stems."""
    module = lmms("ocrbench_v2.utils")
    module.teds.n_jobs = 1
    pages = lmms("ocrbench_v2.page_ocr_metric")
    pages.meteor_score = _MeteorOfSameWords
    doc = {"eval": "None", **truth, "type": truth["kind"], "answers": _copied(truth["answers"])}
    done = module.ocrbench_v2_process_results(doc, [answer])
    return float(next(iter(done.values()))["score"])


class _MeteorOfSameWords:
    """Their METEOR where words are alike only if they are the same."""

    @staticmethod
    def meteor_score(references: Any, hypothesis: Any) -> float:
        whole = rules_of("nltk.translate.meteor_score")
        return float(whole.meteor_score(references, hypothesis, stemmer=_Nothing, wordnet=_Nothing))


class _Nothing:
    """A stemmer that stems nothing and a dictionary without words."""

    @staticmethod
    def stem(word: str) -> str:
        return word

    @staticmethod
    def synsets(word: str) -> list[Any]:
        return []


def lmms_teds(answer: str, truth: Mapping[str, Any]) -> float:
    teds = lmms("ocrbench_v2.utils").TEDS(n_jobs=1)
    return float(teds.evaluate(answer, truth["answers"][0]))


def _copied(value: Any) -> Any:
    """A deep copy: their rules change the truth they are given."""
    return ast.literal_eval(repr(value))


SCORERS: dict[str, Scorer] = {
    name: value
    for name, value in list(globals().items())
    if name.startswith(("lmms_", "kit_")) and callable(value)
}
