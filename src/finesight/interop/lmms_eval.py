# SPDX-License-Identifier: Apache-2.0
"""finesight as a chat model of lmms-eval: `--model finesight --model_args pretrained=tiny,max_pixels=1003520`.

Written against lmms-eval 0.7.3: `lmms_eval.api.model.lmms` (the base class), `lmms_eval.api.instance` (requests, and
results with token counts), `lmms_eval.models.registry_v2` (entry points of the group `lmms_eval.models`).

`FinesightLmms` is created at its first access, because its base class belongs to lmms-eval.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from types import new_class
from typing import Any

from finesight.conversation import ImagePart, Message, Part, Reply, Sampling, VideoPart
from finesight.errors import ConfigError, EvalError, FinesightError
from finesight.interop.answering import AdaptedModel, budget_of, load_responder, module_of
from finesight.text.messages import read_messages

PACKAGE = "lmms-eval"
MODEL_ID = "finesight"
_FEW_SHOT_BREAK = "\n\n"
"""lmms-eval's default stop text; it separates few-shot examples, but also the paragraphs of an answer."""
_KNOWN_OPTIONS = frozenset(
    (
        *("max_new_tokens", "temperature", "do_sample", "top_p", "top_k", "repetition_penalty"),
        *("until", "num_beams", "seed"),
    )
)


class LmmsModel:
    """Implementation of `FinesightLmms`, which also derives from lmms-eval's base class.

    Args:
        pretrained: name of the model, as in `finesight.load`.
        device: "cpu", "cuda", ...; None or "auto" uses cuda if available.
        dtype: of the weights; None takes the checkpoint's.
        batch_size: must be 1; the engine answers requests one by one.
        max_batch_size: ignored.
        min_pixels: least area of each picture and frame, in pixels.
        max_pixels: largest area of each picture and frame, in pixels.
        total_pixels: largest area of all frames of a video together, in pixels.
        fps: frames per second of videos.
        max_frames: largest number of frames of a video.
        max_new_tokens: longest answer, for tasks that set no limit.
        system_prompt: put before conversations without a system message; empty keeps the template's default.

    Raises:
        ConfigError: a value is wrong.
        WeightsError: there is no such model.
    """

    is_simple = False
    task_dict: dict[str, Any]
    cache_hook: Any
    _world_size: int

    def __init__(
        self,
        pretrained: str = "tiny",
        *,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int | str = 1,
        max_batch_size: int | None = None,
        min_pixels: float | None = None,
        max_pixels: float | None = None,
        total_pixels: float | None = None,
        fps: float | None = None,
        max_frames: float | None = None,
        max_new_tokens: int = 1024,
        system_prompt: str = "",
    ) -> None:
        super().__init__()
        del max_batch_size
        if str(batch_size) != "1":
            raise ConfigError(
                f"batch_size is {batch_size!r}; the engine answers requests one by one",
                hint="leave it out, or give 1",
            )
        budget = budget_of(
            min_pixels=min_pixels,
            max_pixels=max_pixels,
            total_pixels=total_pixels,
            max_frames=max_frames,
            fps=fps,
        )
        responder = load_responder(pretrained, device=device, dtype=dtype)
        self._model = AdaptedModel(responder, budget, system_prompt)
        self._defaults = Sampling(max_new_tokens=max_new_tokens)

    def generate_until(self, requests: Sequence[Any]) -> list[Any]:
        """Answer each request.

        Returns:
            lmms-eval's `GenerationResult` for each, with token counts.

        Raises:
            EvalError: a conversation cannot be answered; names task and document.
        """
        self._refuse_ranks()
        results = []
        for request in requests:
            context, to_messages, wanted, doc_id, task, split = request.args
            doc = self.task_dict[task][split][doc_id]
            reply = self._reply(to_messages(doc), wanted, f"{task}, document {doc_id}")
            self.cache_hook.add_partial("generate_until", (context, wanted), reply.text)
            results.append(_result(reply))
        return results

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[list[str]]:
        """Answer round after round until the task ends the conversation.

        Returns:
            For each request, the answers of its rounds.

        Raises:
            EvalError: a conversation cannot be answered; names task and document.
        """
        self._refuse_ranks()
        results = []
        for request in requests:
            context, to_messages, wanted, doc_id, task, split = request.args
            doc = self.task_dict[task][split][doc_id]
            answers = self._rounds(to_messages, doc, wanted, f"{task}, document {doc_id}")
            self.cache_hook.add_partial("generate_until_multi_round", (context, wanted), answers)
            results.append(answers)
        return results

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Always raises: these requests hold text and pictures separately, so the order of the two is unknown.

        Raises:
            EvalError: always; names the first task.
        """
        task = requests[0].task_name if requests else "no task"
        raise EvalError(
            f"{task} asks for log-likelihoods ({len(requests)} requests); a chat model only generates",
            hint="use a variant of the task whose output_type is generate_until",
        )

    @property
    def device(self) -> str:
        """Device of the tensors that the evaluator's processes exchange; read only if there are several."""
        self._refuse_ranks()
        return "cpu"

    def _rounds(
        self, to_messages: Callable[..., Any], doc: Any, wanted: Mapping[str, Any], where: str
    ) -> list[str]:
        """Answers of all rounds of one document.

        From the second round on the task returns (messages, is it over, previous answers, round info); a task that
        returns anything else has one round.
        """
        answers: list[str] = []
        messages, info = to_messages(doc), None
        while True:
            answers.append(self._reply(messages, wanted, where).text)
            following = to_messages(
                doc, round_idx=len(answers), previous_output=list(answers), previous_round_info=info
            )
            if not (isinstance(following, tuple) and len(following) == 4):
                return answers
            messages, is_over, _, info = following
            if is_over:
                return answers

    def _reply(self, messages: Any, wanted: Mapping[str, Any], where: str) -> Reply:
        try:
            sampling = sampling_from(wanted, self._defaults)
            return self._model.answer(messages_from(messages), sampling)
        except FinesightError as error:
            raise EvalError(f"{where}: {error.message}", hint=error.hint) from error

    def _refuse_ranks(self) -> None:
        """Raise `ConfigError` if the evaluator started several processes; it sets `_world_size` before the requests."""
        if self._world_size > 1:
            raise ConfigError(
                f"started as {self._world_size} processes, which would all load onto one device",
                hint="start one process; to share work, give each its own --offset and --limit",
            )


def messages_from(messages: Sequence[Mapping[str, Any]]) -> tuple[Message, ...]:
    """Convert chat messages of lmms-eval, whose media are under the key `url`.

    Raises:
        ConfigError: there are none, or a part is of an unsupported type, such as audio.
    """
    read: list[Message] = []
    for number, message in enumerate(messages or ()):
        content = message["content"]
        parts = [content] if isinstance(content, str) else [_part(each) for each in content]
        read.extend(read_messages([{"role": message["role"], "content": parts}]))
        if not read[-1].parts:
            raise ConfigError(f"message {number} of {len(messages)} is empty")
    if not read:
        raise ConfigError(f"the task returned no messages: {messages!r}")
    return tuple(read)


def _part(part: Any) -> Part | str:
    kind = part["type"]
    if kind == "text":
        return str(part["text"])
    if kind not in ("image", "video"):
        raise ConfigError(
            f"a part is of type {kind!r}; finesight takes text, image and video",
            hint="leave out tasks with other media",
        )
    source, start, end = part["url"], part.get("start_time"), part.get("end_time")
    if isinstance(source, Mapping):  # a file with start and end of a clip
        inner = source
        source = next((inner[key] for key in ("url", "path", "video") if inner.get(key)), None)
        start, end = inner.get("video_start", start), inner.get("video_end", end)
        if source is None:
            raise ConfigError(f"a {kind} has no file under url, path or video: {inner!s:.120}")
    if kind == "image":
        return ImagePart(source=source)
    frames = tuple(source) if isinstance(source, list) else source
    return VideoPart(source=frames, start_seconds=start, end_seconds=end)


def sampling_from(wanted: Mapping[str, Any], defaults: Sampling) -> Sampling:
    """Sampling for the generation options of a task; greedy unless it sets a temperature.

    `until` gives the stop texts. An empty line, lmms-eval's default, is left out, as in its adapters for Qwen: it
    would cut every answer after its first paragraph.

    Raises:
        ConfigError: beam search is requested, or a value is out of range.
    """
    given = {name: value for name, value in wanted.items() if value is not None}
    if given.get("num_beams", 1) != 1:
        raise ConfigError(
            f"num_beams is {given['num_beams']}; finesight has no beam search", hint="give 1"
        )
    if unknown := sorted(given.keys() - _KNOWN_OPTIONS):
        warnings.warn(f"generation options without effect here: {', '.join(unknown)}", stacklevel=2)
    until = given.pop("until", ())
    stop = [until] if isinstance(until, str) else list(until)
    # With do_sample=False a task may still set a temperature, which then has no effect.
    does_sample = given.get("do_sample", float(given.get("temperature", 0)) > 0)
    sampling = replace(
        defaults,
        max_new_tokens=int(given.get("max_new_tokens", defaults.max_new_tokens)),
        temperature=float(given.get("temperature", 1)) if does_sample else 0.0,
        top_p=float(given.get("top_p", 1)) if does_sample else 1.0,
        top_k=int(given.get("top_k", 0)) if does_sample else 0,
        repetition_penalty=float(given.get("repetition_penalty", 1)),
        seed=given.get("seed"),
        stop=tuple(text for text in stop if text and text != _FEW_SHOT_BREAK),
    )
    sampling.check()
    return sampling


def _result(reply: Reply) -> Any:
    """lmms-eval's record of an answer."""
    instance = module_of("lmms_eval.api.instance", package=PACKAGE)
    counts = instance.TokenCounts(
        input_tokens=reply.usage.prompt_tokens, output_tokens=reply.usage.completion_tokens
    )
    return instance.GenerationResult(text=reply.text, token_counts=counts)


def manifest() -> Any:
    """Target of the entry point in the group `lmms_eval.models`: the model's name and class."""
    registry = module_of("lmms_eval.models.registry_v2", package=PACKAGE)
    return registry.ModelManifest(model_id=MODEL_ID, chat_class_path=f"{__name__}.FinesightLmms")


@cache
def _adapter() -> type:
    base = module_of("lmms_eval.api.model", package=PACKAGE).lmms
    own = {"__module__": __name__, "__doc__": LmmsModel.__doc__}
    return new_class("FinesightLmms", (LmmsModel, base), exec_body=lambda body: body.update(own))


def __getattr__(name: str) -> Any:
    if name == "FinesightLmms":
        return _adapter()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
