# SPDX-License-Identifier: Apache-2.0
"""Data of a fine-tuning run: import, split by picture, held-back records as questions, answers to replay."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from finesight import files
from finesight.errors import DataError

if TYPE_CHECKING:
    from finesight.conversation import Message, Part
    from finesight.data.formats.config import ImportConfig
    from finesight.data.record import Record
    from finesight.evals.core.run import RunResult
    from finesight.evals.core.task import Item
    from finesight.evals.responders.model import FromModel
    from finesight.evals.suites.held_back import Example
    from finesight.geometry import Resize
    from finesight.processor.processor import Processor
    from finesight.text.tokenizer import Tokenizer

REPLAY_TEXTS = 48
"""Text-only questions that the model answers for its replay."""
SHORT_TEXT = 4
"""Characters of an answer whose tokens do not show how a model writes."""
REPLAY_TOKENS = 96
"""Tokens of an answer to replay, at most."""


@dataclass(frozen=True, slots=True)
class Examples:
    """The user's records, and which of them are held back.

    Attributes:
        shards: folder with all records.
        train: JSON file with the numbers of those to train on.
        held_back: JSON file with the numbers of the others; None holds back none.
        num_train: records to train on.
        num_held_back: records held back.
        dropped: rows of the file that were not used, by reason.
    """

    shards: Path
    train: Path
    held_back: Path | None
    num_train: int
    num_held_back: int
    dropped: dict[str, int]


def prepare(data: Path, out: Path, config: ImportConfig, *, share: float, seed: int) -> Examples:
    """Import a file into shards and split its records; what an earlier start finished is kept.

    Args:
        data: a file of examples, or a folder of shards.
        out: folder of the run.
        config: how the file is read.
        share: of the records to hold back; 0 holds back none.
        seed: of the split.

    Raises:
        DataError: the file has no usable record, or too few of them, or it has changed since an earlier start.
    """
    from finesight.data.held_back import split_by_media
    from finesight.data.shards import ShardSet

    shards, dropped = _imported(data, out, config)
    train, held_back, done = (
        out / "split" / name for name in ("train.json", "held_back.json", "done.json")
    )
    if not done.is_file():
        split = split_by_media(ShardSet(shards), share, seed)
        files.write_json(train, split.train, error=DataError, parents=True)
        files.write_json(held_back, split.held_back, error=DataError)
        counts = {"train": len(split.train), "held_back": len(split.held_back), "share": share}
        files.write_json(done, {**counts, "seed": seed}, error=DataError)
    counts = json.loads(done.read_text(encoding="utf-8"))
    num_held_back = int(counts["held_back"])
    return Examples(
        shards=shards,
        train=train,
        held_back=held_back if num_held_back else None,
        num_train=int(counts["train"]),
        num_held_back=num_held_back,
        dropped=dropped,
    )


def _imported(data: Path, out: Path, config: ImportConfig) -> tuple[Path, dict[str, int]]:
    """The folder of shards, and the rows that were left out by reason."""
    from finesight.data.importing import IMPORT_FILE, import_file, source_digest

    if data.is_dir() and any(data.glob("*.tar")):
        return data, {}
    shards = out / "data"
    if not (shards / IMPORT_FILE).is_file():
        summary = import_file(data, shards, config)
        for note in summary.notes:
            sys.stderr.write(f"{note}\n")
    found = json.loads((shards / IMPORT_FILE).read_text(encoding="utf-8"))
    if data.is_file() and found.get("sha256") not in (None, source_digest(data)):
        raise DataError(
            f"{data} has changed since it was imported into {shards}",
            hint="give another --out to train on what it holds now",
        )
    return shards, found["dropped"]


def held_back_examples(
    examples: Examples, processor: Processor, *, limit: int | None = None
) -> list[Example]:
    """Every answer of the held-back records as a question with its gold answer.

    The messages before it are given as they are in the record.

    Args:
        examples: with held-back records.
        processor: of the model; its resize decides the numbers of boxes.
        limit: number of questions at most, evenly spaced.

    Raises:
        DataError: the shards cannot be read.
    """
    from finesight.data.shards import ShardSet

    assert examples.held_back is not None
    records = ShardSet(examples.shards, only=examples.held_back)
    found = _with_own_ids([each for record in records for each in _examples(record, processor)])
    if limit is None or len(found) <= limit:
        return found
    return [found[place * len(found) // limit] for place in range(limit)]


def _with_own_ids(examples: Sequence[Example]) -> list[Example]:
    """The examples; where records of several imports have one id, a number is added to it."""
    times: Counter[str] = Counter()
    found = []
    for each in examples:
        times[each.item.id] += 1
        if (number := times[each.item.id]) > 1:
            each = replace(each, item=replace(each.item, id=f"{each.item.id}-again-{number}"))
        found.append(each)
    return found


def _examples(record: Record, processor: Processor) -> Iterator[Example]:
    from finesight.data.places import written

    resizes = [media.resize for media in processor.plan_media(record.conversation)]
    messages = tuple(
        replace(message, parts=tuple(map(_shown, message.parts)))
        for message in written(record.conversation.messages, record.places, resizes)
    )
    first = 1 if messages[0].role == "system" else 0
    for index, message in enumerate(messages):
        if message.role != "assistant" or not message.is_target:
            continue
        before = messages[:index]
        if record.any_order and index > first + 1:  # an independent question about the same media
            media = tuple(map(_shown, record.conversation.media()))
            question = messages[index - 1]
            before = (*messages[:first], replace(question, parts=(*media, *question.parts)))
        yield _example(f"{record.id}-{index}", record, before, message, resizes, processor)


def _shown(part: Part) -> Part:
    """A part with its picture as `PIL.Image`, which benchmarks can take a digest of."""
    import numpy as np
    from PIL import Image

    from finesight.conversation import ImagePart

    if isinstance(part, ImagePart) and isinstance(part.source, np.ndarray):
        return replace(part, source=Image.fromarray(part.source))
    return part


def _example(
    name: str,
    record: Record,
    before: Sequence[Message],
    answer: Message,
    resizes: Sequence[Resize],
    processor: Processor,
) -> Example:
    from finesight.data.held_back import media_digests
    from finesight.evals.core.task import Item
    from finesight.evals.suites.held_back import Example

    text = _answer_text(answer)
    item = Item(
        id=name,
        conversation=replace(record.conversation, messages=tuple(before)),
        truth={},
        cluster=media_digests(record)[0],  # answers about one picture are correlated
    )
    boxes = _boxes(text, resizes[0]) if len(resizes) == 1 else []
    num_tokens = len(processor.tokenizer.encode(text)) + 1
    return Example(item=item, answer=text, boxes=boxes, num_tokens=num_tokens)


def _answer_text(message: Message) -> str:
    """Text of an answer, with its tool calls as the model writes them."""
    from finesight.conversation import Conversation, Message, TextPart
    from finesight.text.chat_template import ControlToken, TextSegment, render

    asked = Message("user", (TextPart("?"),))
    segments = render(Conversation((asked, message)), add_generation_prompt=False)
    learned = [each for each in segments if each.is_target][:-2]  # without the end of the turn
    return "".join(
        each.text if isinstance(each, TextSegment) else each.name
        for each in learned
        if isinstance(each, TextSegment | ControlToken)
    )


def _boxes(text: str, resize: Resize) -> list[tuple[str, tuple[float, float, float, float]]]:
    """Label and corners of every box in an answer about one picture, in original pixels."""
    from finesight.parse.grounding import read_grounding

    found = []
    for each in read_grounding(text).boxes:
        box, _ = resize.to_original(each.box_resized)
        found.append((each.label, (box.x1, box.y1, box.x2, box.y2)))
    return found


def writes_letters(read: RunResult) -> bool:
    """Whether a model writes one token per character, by its answers to the reading questions of the sanity set."""
    longer = [sample for sample in read.samples if len(sample.text or "") > SHORT_TEXT]
    spelled = [sample for sample in longer if sample.num_tokens >= len(sample.text or "")]
    return 2 * len(spelled) > len(longer)


def write_replay(
    folder: Path, model: FromModel, tokenizer: Tokenizer, *, seed: int, with_texts: bool
) -> int:
    """Let the model answer the questions of the replay set, and store its answers as records.

    Answers that are cut, repeat themselves or contain control tokens are not used. An answer that the model wrote with
    one token per character is learned so.

    Args:
        folder: to write; an existing one is kept.
        model: before training.
        tokenizer: of the model.
        seed: of the text-only questions.
        with_texts: whether text-only questions are asked.

    Returns:
        The number of records; 0 if no answer was usable.
    """
    from finesight.conversation import Sampling
    from finesight.data.shards import ShardSet, is_complete, write_shard
    from finesight.data.spelling import spelled_ids

    shard = folder / "replay-00000.tar"
    if is_complete(shard):
        return len(ShardSet(folder))
    items = replay_questions(seed, with_texts=with_texts)
    sampling = Sampling(max_new_tokens=REPLAY_TOKENS, temperature=0.0)
    records = []
    for start in range(0, len(items), 16):
        batch = items[start : start + 16]
        for item, reply in zip(batch, model.answer_many(batch, sampling), strict=True):
            if isinstance(reply, Exception):
                raise reply
            text = reply.text.strip()
            if reply.finish_reason == "stop" and text and "<|" not in text:
                is_spelled = list(reply.token_ids[: len(text)]) == spelled_ids(text, tokenizer)
                records.append(_replay_record(item, text, is_spelled=is_spelled))
    return write_shard(shard, records) if records else 0


def replay_questions(seed: int, *, with_texts: bool) -> list[Item]:
    """Questions of the replay set: with pictures, and if wanted without."""
    import random

    from finesight.conversation import Conversation, Message, TextPart
    from finesight.data.builders.replay_seeds import first_message
    from finesight.evals.core.task import Item
    from finesight.evals.suites.sanity import replay_items

    items = replay_items()
    if with_texts:
        rng = random.Random(seed)
        questions = [first_message(rng, "train") for _ in range(REPLAY_TEXTS)]
        items += [
            Item(
                id=f"text-{number}",
                conversation=Conversation((Message("user", (TextPart(text),)),)),
                truth={},
            )
            for number, text in enumerate(questions)
        ]
    return items


def _replay_record(item: Item, answer: str, *, is_spelled: bool) -> Record:
    """The question with the model's own answer."""
    import numpy as np

    from finesight.conversation import Conversation, ImagePart, Message, TextPart
    from finesight.data.record import Record
    from finesight.data.spelling import SPELLED

    messages = tuple(
        replace(
            message,
            parts=tuple(
                replace(part, source=np.array(part.source)) if isinstance(part, ImagePart) else part
                for part in message.parts
            ),
        )
        for message in item.conversation.messages
    )
    said = Message("assistant", (TextPart(answer),))
    meta = {"split": "train", "generator": "sft-replay/1", SPELLED: is_spelled}
    return Record(id=item.id, conversation=Conversation((*messages, said)), meta=meta)
