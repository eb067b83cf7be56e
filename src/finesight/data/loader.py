# SPDX-License-Identifier: Apache-2.0
"""From records to packs: jitter the picture, choose questions, encode, pack.

Runs in worker processes beside the training. Pictures are drawn once and stored as they are; cheap jitter makes each
reading of them different, which on two cores is worth more than drawing anew.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from finesight.batch import EncodedSample, PackedBatch, pack
from finesight.conversation import Conversation, ImagePart, Message, TextPart, VideoPart
from finesight.data.augment import jitter, squeeze
from finesight.data.dense import DenseTargets, DenseVocabulary, ObjectCells, dense_targets
from finesight.data.look_targets import Looks
from finesight.data.mixture import Cursor, Mixture, SourceConfig
from finesight.data.record import Record
from finesight.data.scene_looks import looks_of_scene
from finesight.data.text_looks import looks_of_text
from finesight.errors import ConfigError, FinesightError
from finesight.processor.processor import Processor
from finesight.text import chat_template

_MAX_FRAME_PAIRS = 3
_VIDEO_FPS = (0.5, 1.0, 2.0, 4.0)
_ONE_TOKEN_PIXELS = 28 * 28


class LoaderConfig(BaseModel):
    """What is fed and in which portions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: tuple[SourceConfig, ...] = Field(description="folders of shards with their shares")
    pack_tokens: int = Field(
        2048, ge=64, description="tokens of one pack, text and visual together"
    )
    pack_patches: int = Field(8192, ge=64, description="patches of one pack")
    max_turns: int = Field(4, ge=1, description="questions asked about one picture")
    jitter: float = Field(1.0, ge=0, le=1, description="strength of the picture jitter; 0 is off")
    squeeze: float = Field(
        0.0, ge=0, le=1, description="how far pictures of text are shrunk and moved; 0 is off"
    )
    video_share: float = Field(
        0.0, ge=0, le=1, description="share of pictures shown as a still video of a few frames"
    )
    spelled_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of plain transcriptions whose answer is one token per character: a small model then learns "
        "to copy letters and need not know every word piece",
    )
    characters: str = Field("", description="alphabet of the temporary character head")
    objects: tuple[str, ...] = Field((), description="object names of the temporary object head")
    workers: int = Field(1, ge=1, description="processes that prepare packs")
    seed: int = Field(0, description="fixes the order and the jitter")


@dataclass(frozen=True, slots=True)
class TrainBatch:
    """One pack with what training needs beside it.

    Attributes:
        batch: the pack.
        dense: targets of its visual tokens.
        looks: where the tokens of answers look.
        cursor: place in the data after this pack, as a plain mapping.
        num_samples: samples in the pack.
        worker: which worker made it.
    """

    batch: PackedBatch
    dense: DenseTargets
    looks: Looks
    cursor: dict[str, Any]
    num_samples: int
    worker: int = 0


@dataclass(frozen=True, slots=True)
class _Prepared:
    """One sample with its targets."""

    sample: EncodedSample
    dense: DenseTargets
    looks: Looks


class PackStream(IterableDataset[TrainBatch | FinesightError]):
    """Endless packs from a mixture.

    Each worker packs its own share of one stream of records; which records there are, and in which order, does not
    depend on the number of workers.

    Args:
        config: what is fed.
        model_folder: folder with `tokenizer.json`, `config.json` and `preprocessor_config.json`.
        cursor: where to start, from the last pack of `read_packs`; None starts at the beginning.

    Raises:
        ConfigError: the cursor was made with another number of workers.
    """

    def __init__(
        self, config: LoaderConfig, model_folder: Path, cursor: dict[str, Any] | None = None
    ) -> None:
        self._config = config
        self._model_folder = model_folder
        self.num_workers = config.workers
        self.places: list[dict[str, Any]] = [{} for _ in range(config.workers)]
        self.first_worker = 0
        if cursor:
            self.places, self.first_worker = list(cursor["workers"]), int(cursor["next"])
        if len(self.places) != config.workers:
            raise ConfigError(
                f"the run was made with {len(self.places)} loader workers, the recipe says {config.workers}",
                hint=f"resume with data.workers = {len(self.places)}, or start a new run from its weights",
            )
        self.vocabulary = DenseVocabulary.build(config.characters, config.objects)

    def __iter__(self) -> Iterator[TrainBatch | FinesightError]:
        """Packs, filled in the order of the stream until the next sample would not fit.

        An error is the last thing that comes: raised in a worker it would arrive as the text of a traceback.
        """
        try:
            yield from self._packs()
        except FinesightError as error:
            yield error

    def _packs(self) -> Iterator[TrainBatch]:
        torch.set_num_threads(1)
        processor = Processor.from_folder(self._model_folder)
        mixture = Mixture(self._config.source, seed=self._config.seed)
        info = get_worker_info()
        # Packs come from the workers in turn, and the turn of a resumed run need not begin with worker 0.
        worker = (self.first_worker + (info.id if info else 0)) % self.num_workers
        start = Cursor(**self.places[worker])
        ready: list[_Prepared] = []
        num_tokens = num_patches = 0
        before = start
        draws = mixture.stream(start, worker=worker, num_workers=self.num_workers)
        for record, random, cursor in draws:
            prepared = self._prepare(record, random, processor)
            tokens, patches = prepared.sample.input_ids.numel(), _num_patches(prepared.sample)
            if ready and not self._fits(num_tokens + tokens, num_patches + patches):
                yield _packed(ready, asdict(before), worker)
                ready = []
                num_tokens = num_patches = 0
            num_tokens += tokens
            num_patches += patches
            ready.append(prepared)
            before = cursor

    def _fits(self, num_tokens: int, num_patches: int) -> bool:
        return num_tokens <= self._config.pack_tokens and num_patches <= self._config.pack_patches

    def _prepare(
        self, record: Record, random: np.random.Generator, processor: Processor
    ) -> _Prepared:
        chosen = random.permutation(len(record.turns))[: self._config.max_turns].tolist()
        turns = [record.turns[place] for place in chosen]
        if record.context:
            question, answer = turns[0]
            turns[0] = (f"{record.context}\n{question}", answer)
        if record.image is None:
            sample = _encode(as_conversation((), turns), processor, spelled=False)
            return _Prepared(sample, DenseTargets.none(), Looks())
        num_frames = 1
        if random.random() < self._config.video_share:
            num_frames = 2 * int(random.integers(1, _MAX_FRAME_PAIRS + 1))
        # A negative of a scene would make its colour words lies, and its answers name places.
        may_invert = may_move = record.family == "text"
        if may_move and self._config.squeeze:
            record = squeeze(record, random, self._config.squeeze)
        frames = [
            jitter(record.pixels, random, self._config.jitter, may_invert=may_invert)
            for _ in range(num_frames)
        ]
        conversation = as_conversation(frames, turns, fps=float(random.choice(_VIDEO_FPS)))
        spelled = random.random() < self._config.spelled_share and record.family == "text"
        sample = _encode(conversation, processor, spelled=spelled)
        pairs, height, width = sample.vision[0].grid_thw
        merge = processor.model_config.vision.spatial_merge_size
        cell = processor.model_config.vision.resize_factor
        rows, columns = height // merge, width // merge
        dense = dense_targets(record, self.vocabulary, rows=rows, columns=columns, cell=cell)
        if record.family == "text":
            looks = looks_of_text(
                record, chosen, sample, (rows, columns), processor.tokenizer, spelled=spelled
            )
        else:
            objects = ObjectCells.of(record, rows=rows, columns=columns)
            looks = looks_of_scene(record, chosen, sample, objects, processor.tokenizer)
        return _Prepared(sample, DenseTargets.join([dense] * pairs), looks)


def _packed(ready: Sequence[_Prepared], cursor: dict[str, Any], worker: int) -> TrainBatch:
    batch = pack([one.sample for one in ready])
    starts = batch.attention.cu_seqlens_q[:-1].tolist()
    return TrainBatch(
        batch=batch,
        dense=DenseTargets.join([one.dense for one in ready]),
        cursor=cursor,
        num_samples=len(ready),
        worker=worker,
        looks=Looks.join([one.looks for one in ready], starts),
    )


def _num_patches(sample: EncodedSample) -> int:
    return sum(item.patches.shape[0] for item in sample.vision)


def _encode(conversation: Conversation, processor: Processor, *, spelled: bool) -> EncodedSample:
    """Encode a training conversation, its answers letter by letter where they are to be spelled."""
    segments = chat_template.render(conversation, add_generation_prompt=False)
    if spelled:
        segments = [
            replace(segment, by_character=True)
            if isinstance(segment, chat_template.TextSegment) and segment.is_target
            else segment
            for segment in segments
        ]
    return processor.assemble(segments, [processor.prepare(part) for part in conversation.media()])


def as_conversation(
    frames: Sequence[np.ndarray], turns: Sequence[tuple[str, str]], *, fps: float = 2.0
) -> Conversation:
    """The picture, or the video where there are several frames, or neither, then questions and answers."""
    pictures = tuple(Image.fromarray(frame) for frame in frames)
    shown: tuple[ImagePart | VideoPart, ...] = tuple(ImagePart(source=one) for one in pictures)
    if len(pictures) > 1:
        # Frames are whole numbers of tokens already; the usual floor of 128 tokens would enlarge them.
        shown = (VideoPart(source=pictures, sample_fps=fps, min_pixels=_ONE_TOKEN_PIXELS),)
    messages: list[Message] = []
    for index, (question, answer) in enumerate(turns):
        media = shown if index == 0 else ()
        messages.append(Message("user", (*media, TextPart(question))))
        messages.append(Message("assistant", (TextPart(answer),)))
    return Conversation(tuple(messages))


def _leave_stopping_to_the_parent(_worker: int) -> None:
    """Ctrl-C and most supervisors signal a whole process group: a worker that obeyed would take the run with it."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def read_packs(stream: PackStream) -> Iterator[TrainBatch]:
    """Packs of all workers in turn, each with the place of the whole stream after it.

    Raises:
        FinesightError: a worker met it.
    """
    loader = DataLoader(
        stream,
        batch_size=None,
        num_workers=stream.num_workers,
        prefetch_factor=8,
        worker_init_fn=_leave_stopping_to_the_parent,
    )
    places = list(stream.places)
    for made in loader:
        if isinstance(made, FinesightError):
            raise made
        places[made.worker] = made.cursor
        cursor = {"workers": list(places), "next": (made.worker + 1) % stream.num_workers}
        yield replace(made, cursor=cursor)
