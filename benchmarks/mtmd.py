# SPDX-License-Identifier: Apache-2.0
"""The vision tower against llama.cpp, by its program `llama-mtmd-cli`.

Both sides encode a picture of the same size with the same random weights, which our exporter writes for them. Processor
time is compared, because it is usable on a busy machine; threads of llama.cpp spin while they wait, so each side has
one. Theirs is that of the process, less that of a process with a picture of a few patches. The language model has one
narrow layer, which costs a hundredth of the tower.
"""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.comparison import Comparison, measured_in_turns
from benchmarks.network import random_picture, shortened_3b, write_random_checkpoint
from benchmarks.prompt import VISION_SIDES
from finesight.errors import ConfigError

if TYPE_CHECKING:
    from finesight.config.model import ModelConfig

_BARS = {"bf16": 1.2, "int8": 2.0}

_THEIR_FORMATS = ("bf16", "f16")
"""Of the vision tower in their file; the faster one counts."""

_TINY_SIDE = 56

_ENCODED = re.compile(r"(?:encoding done|slice encoded) in (\d+) ms")

_SMALL_FILES = ("tokenizer.json", "generation_config.json", "preprocessor_config.json")


class _Run(NamedTuple):
    """A process of their program: its processor time, and the milliseconds that it prints for the picture."""

    used: float
    shown: int


def compare_with_mtmd(program: Path, *, blocks: int = 8, rounds: int = 1) -> Iterator[Comparison]:
    """The tower in bfloat16 and in int8 against theirs, one thread each, two sizes of pictures.

    Args:
        program: llama-mtmd-cli.
        blocks: of the tower, a multiple of 8; one in eight attends to the whole picture, as in the release.
        rounds: number of rounds, of which the best counts.

    Raises:
        ConfigError: the program fails.
    """
    import torch

    from finesight.model.packed import pack_vision
    from finesight.model.weights import load_model

    with tempfile.TemporaryDirectory(prefix="finesight-bench-") as place, torch.inference_mode():
        folder = Path(place)
        config = _write_model(folder / "model", blocks)
        files = {kind: _exported(folder / "model", folder / kind, kind) for kind in _THEIR_FORMATS}
        towers = {name: load_model(folder / "model") for name in _BARS}
        pack_vision(towers["int8"], "int8")
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        for side in VISION_SIDES:
            picture = random_picture(
                config, (1, side // 14, side // 14), device=torch.device("cpu")
            )
            runs = [partial(tower.encode_vision, picture) for tower in towers.values()]
            ours = [spent for _, spent in measured_in_turns(runs, rounds)]
            theirs = {
                kind: _encoding(program, pair, folder, side, rounds) for kind, pair in files.items()
            }
            best = min(theirs, key=lambda kind: theirs[kind].used)
            shown = (
                f"{kind} {one.used:.2f} s, it prints {one.shown} ms" for kind, one in theirs.items()
            )
            note = ", ".join(shown)
            for name, spent in zip(towers, ours, strict=True):
                yield Comparison(
                    f"vision {side} x {side}, {blocks} blocks in {name}, processor time against llama.cpp in {best}",
                    spent,
                    theirs[best].used,
                    _BARS[name],
                    at_least=True,
                    note=note,
                )
        torch.set_num_threads(threads)


def _write_model(folder: Path, blocks: int) -> ModelConfig:
    """A folder with a random tower of the 3B shape, a narrow language model, and the embedded model's small files."""
    from finesight.api.checkpoints import find_checkpoint
    from finesight.config.model import ModelConfig

    small = find_checkpoint("tiny")
    of_tiny, base = ModelConfig.from_folder(small), shortened_3b(blocks=blocks, layers=1)
    narrow = {"vocab_size": of_tiny.text.vocab_size, "intermediate_size": 256}
    changed = {
        "text": base.text.model_copy(update=narrow),
        "special_tokens": of_tiny.special_tokens,
        "dtype": "bfloat16",
    }
    config = base.model_copy(update=changed)
    folder.mkdir()
    write_random_checkpoint(config, folder, max_shard_bytes=2**40)
    for name in _SMALL_FILES:
        shutil.copyfile(small / name, folder / name)
    return config


def _exported(folder: Path, out: Path, kind: str) -> tuple[Path, Path]:
    """The files of language model and tower for llama.cpp, the tower in a format."""
    from finesight.api.export_source import open_source
    from finesight.checkpoints.export.formats import gguf_names, write_gguf
    from finesight.checkpoints.export.gguf_file import checked_gguf_weights

    out.mkdir()
    weights = checked_gguf_weights(kind)
    source = open_source(str(folder), folder, adapter=None, is_separate=False, dtype=None)
    write_gguf(source, out, weights, vision_weights=weights, on_stage=lambda *_: None)
    language, vision = gguf_names(weights, weights)
    return out / language, out / vision


def _encoding(
    program: Path, files: tuple[Path, Path], folder: Path, side: int, rounds: int
) -> _Run:
    """The least processor time of their tower for a square picture, and the least time that they print."""
    from PIL import Image

    large, small = (folder / f"{pixels}.png" for pixels in (side, _TINY_SIDE))
    for path, pixels in ((large, side), (small, _TINY_SIDE)):
        Image.effect_noise((pixels, pixels), 60).convert("RGB").save(path)
    found = [(_ran(program, files, large), _ran(program, files, small)) for _ in range(rounds)]
    return _Run(
        min(one.used - other.used for one, other in found), min(one.shown for one, _ in found)
    )


def _ran(program: Path, files: tuple[Path, Path], picture: Path) -> _Run:
    language, vision = files
    command = [program, "-m", language, "--mmproj", vision, "--image", picture, "-p", "What?"]
    command += ["-n", "1", "-t", "1", "-c", "4096", "--no-warmup", "--jinja"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, errors="replace"
        )
    except OSError as error:
        raise ConfigError(f"{program} cannot be run: {error.strerror or error}") from error
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = _ENCODED.search(done.stderr + done.stdout)
    if done.returncode or found is None:
        raise ConfigError(
            f"{program} ended with code {done.returncode}: {done.stderr.strip()[-300:]}",
            hint="give llama-mtmd-cli of llama.cpp",
        )
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return _Run(used, int(found[1]))
