# SPDX-License-Identifier: Apache-2.0
"""Training tokens a second against TRL and LLaMA-Factory on transformers' model, in turns.

All train all weights of the embedded model `tiny` on the same records, a picture and a text each: AdamW, bfloat16
products on float32 weights, no recomputation, one thread, one process that loads data. Only the tokens of the records
count, no padding. TRL refuses packing for vision-language models, and LLaMA-Factory does not pack unless it is asked
to: both pad each batch of 8 to its longest sample; ours packs as many tokens as 8 mean samples have. Each side does
some steps while the others wait. The rate is that of all
turns but the first: tokens by processor time of the training process, which other work on the machine disturbs least.
"""

from __future__ import annotations

import io
import json
import math
import random
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

import finesight
from benchmarks.comparison import Comparison
from finesight.data.record import Record
from finesight.data.shards import write_shard

ROOT = Path(__file__).parents[1]

TINY = Path(finesight.__file__).parent / "assets" / "tiny"

PEERS = {"trl": "TRL", "llamafactory": "LLaMA-Factory"}
"""The other programs, by the end of the name of the module that runs them."""

BATCH = 8
"""Samples of a batch of the others, TRL's default; a pack has the tokens of as many mean ones."""

RANGES = {"lengths of 64 to 2,048": (64, 2048, 3.0), "equal lengths of 512": (512, 512, 1.2)}
"""Tokens of the shortest and the longest sample, and the bar."""

_NUM_RECORDS = 96
_QUESTION = "Describe the image."
_WORDS = (
    "the",
    "red",
    "blue",
    "round",
    "square",
    "big",
    "small",
    "line",
    "page",
    "word",
    "table",
    "street",
)


@dataclass(frozen=True, slots=True)
class Turn:
    """Some optimizer steps.

    Attributes:
        tokens: without padding.
        elapsed: seconds by the clock.
        processor: seconds of processor time.
    """

    tokens: int
    elapsed: float
    processor: float

    @classmethod
    def sum(cls, turns: Iterable[Turn]) -> Turn:
        """All turns as one."""
        each = list(turns)
        return cls(
            sum(one.tokens for one in each),
            sum(one.elapsed for one in each),
            sum(one.processor for one in each),
        )

    @property
    def rate(self) -> float:
        """Tokens a second of processor time."""
        return self.tokens / self.processor


def compare_training(
    programs: Mapping[str, Path | None], *, rounds: int = 3, steps: int = 2
) -> Iterator[Comparison]:
    """Measure all sides in turns.

    Args:
        programs: interpreters of the environments of `PEERS`; None leaves one out, other programs are not used.
        rounds: turns of each side after a warm-up.
        steps: optimizer steps of a turn.
    """
    for name, (least, most, bar) in RANGES.items():
        with tempfile.TemporaryDirectory() as temporary, ExitStack() as processes:
            folder = Path(temporary)
            mean = write_records(folder, least, most)
            sides = {"ours": our_turns(folder, mean, steps)}
            for peer in PEERS:
                if (python := programs[peer]) is not None:
                    process = processes.enter_context(Peer(python, peer, folder, steps))
                    sides[peer] = process.turns()
            turns = [[next(side) for side in sides.values()] for _ in range(rounds + 1)]
        own, *others = (Turn.sum(side) for side in list(zip(*turns[1:], strict=True)))
        for peer, other in zip(list(sides)[1:], others, strict=True):
            yield Comparison(
                f"training, {name}, against {PEERS[peer]}, seconds a token",
                1 / own.rate,
                1 / other.rate,
                bar,
                at_least=True,
                note=f"{own.rate:.0f} against {other.rate:.0f} tokens/s of processor time; "
                f"by the clock {own.tokens / own.elapsed * other.elapsed / other.tokens:.2f} times",
            )


def write_records(folder: Path, least: int, most: int) -> float:
    """Write shards for us and JSON lines with pictures for the others; returns the mean length."""
    from finesight.processor.processor import Processor

    processor = Processor.from_folder(TINY)
    draw = random.Random(0)
    records, rows, lengths = [], [], []
    for number in range(_NUM_RECORDS):
        wanted = round(math.exp(draw.uniform(math.log(least), math.log(most))))
        side = max(1, min(16, math.isqrt(wanted // 3)))  # a third of the tokens are visual
        cells = np.random.default_rng(number).integers(0, 256, (side, side, 3), np.uint8)
        pixels = cells.repeat(28, axis=0).repeat(28, axis=1)
        answer = " ".join(draw.choices(_WORDS, k=wanted))
        overhead = side * side + 24
        answer = processor.tokenizer.decode(
            processor.tokenizer.encode(answer)[: max(1, wanted - overhead)]
        )
        record = Record.of_picture(
            id=f"r{number}",
            image=pixels,
            turns=((_QUESTION, answer),),
            meta={"split": "train", "generator": "benchmark"},
        )
        records.append(record)
        body = io.BytesIO()
        Image.fromarray(pixels).save(body, "PNG")
        (folder / f"{number}.png").write_bytes(body.getvalue())
        rows.append({"image": f"{number}.png", "question": _QUESTION, "answer": answer})
        lengths.append(
            len(processor.encode(record.conversation, add_generation_prompt=False).input_ids)
        )
    write_shard(folder / "shards" / "a.tar", records)
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return sum(lengths) / len(lengths)


def our_turns(folder: Path, mean: float, steps: int) -> Iterator[Turn]:
    """One turn after the other."""
    from finesight.config.load import validate
    from finesight.train import pretrain
    from finesight.train.recipe import PretrainRecipe

    values = {
        "kind": "pretrain",
        "model": {"folder": str(TINY), "start_from": str(TINY)},
        "data": {
            "source": [{"path": str(folder / "shards")}],
            "pack_tokens": round(BATCH * mean),
            "pack_patches": 4 * round(BATCH * mean),
            "jitter": 0.0,
        },
        "optim": {"group": [{"match": "*", "algorithm": "adamw", "lr": 1e-5}]},
        "schedule": {"total_steps": 10_000, "warmup_steps": 0},
        "loss": {"tokens": 1.0},
        "run": {"folder": str(folder / "run"), "precision": "bfloat16"},
    }
    trainer = pretrain.start(validate(values, PretrainRecipe, where="benchmark"))
    groups = trainer.packs()
    while True:
        began, began_processor, tokens = time.perf_counter(), time.process_time(), 0
        for _ in range(steps):
            group = next(groups)
            trainer.step(group)
            tokens += sum(pack.batch.input_ids.numel() for pack in group)
        yield Turn(tokens, time.perf_counter() - began, time.process_time() - began_processor)


class Peer:
    """A process that trains with another program and waits between turns.

    Args:
        python: interpreter of its environment.
        name: of the program, in `PEERS`.
        folder: of the records.
        steps: optimizer steps of a turn.
    """

    def __init__(self, python: Path, name: str, folder: Path, steps: int) -> None:
        self._name = name
        self._process = subprocess.Popen(
            [
                python.absolute(),
                "-m",
                f"benchmarks.training_{name}",
                folder,
                str(steps),
                str(BATCH),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def turns(self) -> Iterator[Turn]:
        """One turn after the other."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        while True:
            self._process.stdin.write("go\n")
            self._process.stdin.flush()
            for line in self._process.stdout:
                if line.startswith("turn "):
                    tokens, elapsed, processor = line.split()[1:]
                    yield Turn(int(tokens), float(elapsed), float(processor))
                    break
            else:
                raise RuntimeError(f"the process of {PEERS[self._name]} has ended")
