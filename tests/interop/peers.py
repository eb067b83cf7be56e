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
import string
import sys
import types
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tests.interop.peers_mega import kit_mega, kit_mega_answer

__all__ = ["kit_mega", "kit_mega_answer"]
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


# ------------------------------------------------------------------------------------------------ options


def _index(truth: Mapping[str, Any]) -> dict[str, str]:
    return dict(zip(string.ascii_uppercase, truth["choices"], strict=False))


def _without_guess(module: Any) -> None:
    """Where a rule of theirs draws an option at random, it draws `GUESS`: chance is no reading."""
    module.random = types.SimpleNamespace(choice=lambda _: GUESS)


def _said(letter: Any) -> str | None:
    """A letter, or None for the ways in which they say that there is none."""
    return letter if letter not in ("", False, "Z", "No Answer Found.") else None


def lmms_mmmu(answer: str, truth: Mapping[str, Any]) -> str | None:
    _without_guess(rules_of("lmms_eval.tasks._task_utils.mmmu_mcq_utils"))
    index = _index(truth)
    return _said(lmms("mmmu.utils").parse_multi_choice_response(answer, list(index), index))


def lmms_mmmu_open(answer: str, truth: Mapping[str, Any]) -> float:
    """Their two rules for short answers, one after the other."""
    module = lmms("mmmu.utils")
    golds = truth["golds"]
    return float(module.eval_open(list(golds), module.parse_open_response(answer)))


def lmms_mmmu_open_task(answer: str, truth: Mapping[str, Any]) -> float:
    """The same rules as their task joins them."""
    module = lmms("mmmu.utils")
    doc = {"id": "validation_Art_1", "question_type": "open", "answer": truth["golds"][0]}
    done = module.mmmu_process_results({**doc, "options": "[]"}, [answer])["mmmu_acc"]
    return float(module.evaluate_mmmu([done])[1]["acc"])


def lmms_mmmu_pro(answer: str, truth: Mapping[str, Any]) -> str | None:
    _without_guess(rules_of("lmms_eval.tasks._task_utils.mmmu_mcq_utils"))
    doc = {"id": 1, "subject": "Art", "question": "", "options": str(list(truth["choices"]))}
    done = lmms("mmmu_pro.utils").mmmu_pro_process_results({**doc, "answer": "A"}, [answer])
    return _said(done["mmmu_acc"]["parsed_pred"])


def kit_can_infer(answer: str, truth: Mapping[str, Any]) -> str | None:
    module = rules_of("vlmeval.utils.matching_util")
    return _said(module.can_infer(answer, _index(truth)))


def _hits(score: Callable[[str], Any], truth: Mapping[str, Any]) -> str | None:
    """The letter that their score takes for right, where it says nothing else."""
    right = [letter for letter in _index(truth) if score(letter)]
    return "".join(right) or None


def lmms_mmstar(answer: str, truth: Mapping[str, Any]) -> str | None:
    return _hits(lambda letter: lmms("mmstar.utils").exact_match(answer, letter), truth)


def lmms_realworldqa(answer: str, truth: Mapping[str, Any]) -> str | None:
    module = lmms("realworldqa.utils")

    def score(letter: str) -> Any:
        return module.realworldqa_process_results({"answer": letter}, [answer])["exact_match"]

    return _hits(score, truth)


def lmms_videomme(answer: str, truth: Mapping[str, Any]) -> str | None:
    return _said(lmms("videomme.utils").extract_characters_regex(answer))


def lmms_lvbench(answer: str, truth: Mapping[str, Any]) -> str | None:
    return _said(lmms("lvbench.utils").extract_characters_regex(answer))


def lmms_mlvu(answer: str, truth: Mapping[str, Any]) -> str | None:
    return _said(lmms("mlvu.utils").extract_characters_regex(answer))


def lmms_videommmu(answer: str, truth: Mapping[str, Any]) -> str | None:
    index = _index(truth)
    return _said(lmms("videommmu.utils").parse_multi_choice_response(answer, list(index), index))


def _exact_match(said: str, letter: str) -> bool:
    """What lmms-eval's `exact_match` does with case and punctuation left out."""
    marks = str.maketrans("", "", string.punctuation)
    return said.lower().translate(marks) == letter.lower().translate(marks)


def lmms_ai2d(answer: str, truth: Mapping[str, Any]) -> str | None:
    (said,) = lmms("ai2d.utils").MultiChoiceRegexFilter().apply([[answer]], [{}])
    return _hits(lambda letter: _exact_match(said, letter), truth)


def lmms_muirbench(answer: str, truth: Mapping[str, Any]) -> str | None:
    module = lmms("muirbench.utils")
    (said,) = module.MultiChoiceRegexFilter().apply([[answer]], [{}])

    def score(letter: str) -> float:
        row = {"task": "t", "pred": said, "answer": letter}
        with contextlib.redirect_stdout(io.StringIO()):
            return float(module.muir_aggregation([row]))

    return _hits(score, truth)


def lmms_blink(answer: str, truth: Mapping[str, Any]) -> str | None:
    doc = {"answer": "(A)", "choices": truth["choices"], "idx": 1, "sub_task": ""}
    return _said(
        lmms("blink.utils").blink_process_results(doc, [answer])["blink_acc"]["pred_parsed"]
    )


def lmms_seedbench_2_plus(answer: str, truth: Mapping[str, Any]) -> str | None:
    module = lmms("seedbench_2_plus.utils")

    def score(letter: str) -> float:
        doc = {"answer": letter, "question_image_type": "chart", "question_id": 1}
        done = module.seed_process_result(doc, [answer])["seedbench_2_plus_all"]
        return float(module.seed_aggregation_result([done]))

    return _hits(score, truth)


def lmms_egoschema(answer: str, truth: Mapping[str, Any]) -> str | None:
    module = lmms("egoschema.utils")
    _without_guess(module)
    index = _index(truth)
    letter, is_read = module.parse_multi_choice_response(answer, list(index), index)
    return _said(letter) if is_read else GUESS


def lmms_longvideobench(answer: str, truth: Mapping[str, Any]) -> str | None:
    module = lmms("longvideobench.utils")
    _without_guess(module)
    index = _index(truth)
    return _said(module.parse_multi_choice_response(answer, list(index), index))


def kit_videomme(answer: str, truth: Mapping[str, Any]) -> str | None:
    return _said(kit("utils.videomme").extract_characters_regex(answer))


def kit_longvideobench(answer: str, truth: Mapping[str, Any]) -> str | None:
    return _said(kit("utils.longvideobench").extract_characters_regex(answer))


def lmms_mvbench(answer: str, truth: Mapping[str, Any]) -> str | None:
    return _hits(lambda letter: lmms("mvbench.utils").mcq_acc(letter, answer), truth)


def kit_mvbench(answer: str, truth: Mapping[str, Any]) -> str | None:
    module = kit("utils.mvbench")
    return _hits(
        lambda letter: module.check_ans(answer, f"({letter}) {_index(truth)[letter]}"), truth
    )


JUDGE = "(asked a judge)"


def lmms_tempcompass(answer: str, truth: Mapping[str, Any]) -> Any:
    """Where their rule asks a language model, it says so."""
    module = lmms("tempcompass.utils")
    module.get_eval_result = lambda _: (None, JUDGE)
    doc = {"video_id": "v", "question": "", "dim": "order", "answer": truth["answer"]}
    if not truth["options"]:
        done = module.tempcompass_process_results_yes_no(doc, [answer])
    else:
        doc["answer"] = f"{truth['answer']}. {_index(truth)[truth['answer']]}"
        done = module.tempcompass_process_results_multi_choice(doc, [answer])
    rating = done["avg_accuracy"]["rating"]
    return rating if rating == JUDGE else float(rating)


def kit_tempcompass(answer: str, truth: Mapping[str, Any]) -> Any:
    module = kit("utils.tempcompass")
    if not truth["options"]:
        said = module.eval_rule_YorN(answer)
        return float(said == truth["answer"]) if said else JUDGE
    line = {"answer": f"{truth['answer']}. {_index(truth)[truth['answer']]}", "prediction": answer}
    rating = module.eval_rule_multi_choice(line)
    return JUDGE if rating == "fail" else float(rating)


def lmms_countbench(answer: str, truth: Mapping[str, Any]) -> float:
    doc = {"number": truth["number"]}
    return float(lmms("countbench.utils").countbench_process_results(doc, [answer])["acc"])


def lmms_countbenchqa(answer: str, truth: Mapping[str, Any]) -> float:
    doc = {"number": truth["number"]}
    return float(lmms("countbenchqa.utils").countbenchqa_process_results(doc, [answer])["acc"])


# ------------------------------------------------------------------------------------------------ mathematics


def lmms_mathvision(answer: str, truth: Mapping[str, Any]) -> float:
    doc = {"answer": truth["answer"], "options": list(truth["choices"])}
    done = lmms("mathvision.utils").mathvision_process_results(doc, [answer])
    return float(done["mathvision_standard_eval"]["scores"][0])


def lmms_is_equal(answer: str, truth: Mapping[str, Any]) -> float:
    return float(lmms("mathvision.eval_utils").is_equal(answer, truth["answer"]))


def kit_is_equal(answer: str, truth: Mapping[str, Any]) -> float:
    """Their rule in this process: the time limit around it starts another one for every pair."""
    rule = kit("utils.mathv").is_equal
    return float(rule.__wrapped__(answer, truth["answer"]))


def lmms_mathvista(answer: str, truth: Mapping[str, Any]) -> Any:
    """Where their rule asks a language model, it says so."""
    module = lmms("mathvista.mathvista_evals")
    rule = module.MathVistaEvaluator.__new__(module.MathVistaEvaluator)
    rule.get_chat_response = lambda *_, **__: JUDGE
    problem = {**truth, "query": ""}
    said = rule.extract_answer(answer, problem, True)
    if said == JUDGE:
        return JUDGE
    normal = rule.normalize_extracted_answer(
        said, truth["choices"], truth["question_type"], truth["answer_type"], truth["precision"]
    )
    return float(rule.safe_equal(normal, truth["answer"]))


# ------------------------------------------------------------------------------------------------ times and places


def lmms_charades(answer: str, truth: Mapping[str, Any]) -> float:
    module = lmms("charades_sta.utils")
    doc = {"video": "v", "caption": "c", "timestamp": truth["span"]}
    done = module.temporal_grounding_process_results_generation(doc, [answer])
    return (
        float(module._temporal_grounding_compute_metrics([done["charades_sta_mIOU"]])["mIOU"]) / 100
    )


def lmms_refcoco(answer: str, truth: Mapping[str, Any]) -> float:
    from PIL import Image

    module = lmms("refcoco_grounding.utils")
    doc = {"answer": "cat", "bbox": truth["xywh"], "image": Image.new("1", truth["size"])}
    done = module.refcoco_grounding_process_result(doc, [answer])
    return float(module.refcoco_grounding_iou([done["refcoco_grounding_IoU"]]))


def lmms_screenspot_v2(answer: str, truth: Mapping[str, Any]) -> float:
    width, height = truth["size"]
    doc = {"bbox": truth["box"], "image_width": width, "image_height": height}
    done = lmms("screenspot_v2.utils").screenspot_v2_process_results(doc, [answer])
    return float(done["screenspot_v2_action_acc"]["correct"])


def lmms_screenspot_pro(answer: str, truth: Mapping[str, Any]) -> float:
    doc = {"bbox": truth["box"], "img_size": truth["size"]}
    done = lmms("screenspot_pro.utils").screenspot_pro_process_results(doc, [answer])
    return float(done["screenspot_pro_action_acc"]["correct"])


def lmms_odinw13(answer: str, truth: Mapping[str, Any]) -> float:
    module = lmms("odinw13.utils")
    records = [
        {
            "image_id": number,
            "image_width": 640,
            "image_height": 480,
            "categories": truth["names"],
            "gts": [{"label": label, "bbox": box} for label, box in picture["gold"]],
            "preds": [{"label": label, "bbox": box} for label, box in picture["pred"]],
        }
        for number, picture in enumerate(truth["pictures"], 1)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        value = float(module._coco_eval_one_dataset(records)["mAP"])
    return 0.0 if value != value else value


SCORERS: dict[str, Scorer] = {
    name: value
    for name, value in list(globals().items())
    if name.startswith(("lmms_", "kit_")) and callable(value)
}
