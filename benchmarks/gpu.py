# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.gpu PART`: one part of the measurements of a GPU, in a process of its own.

Minutes on such a machine are few, so `scripts/gpu-check.sh` runs each part with a time limit, and every number is
written when it is known: a line of JSON in FOLDER/results.jsonl. A part that hangs loses only its own rest. Every part
also runs on a CPU (`--device cpu --shape tiny`), to find mistakes before; its numbers mean nothing there.

The sides of a comparison take turns in one process. Weights are random; speed does not depend on them.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finesight.cli import options
from finesight.cli.errors import reported
from finesight.cli.names import did_you_mean
from finesight.errors import ConfigError
from finesight.threads import prepare

if TYPE_CHECKING:
    from finesight.config.model import ModelConfig

PARTS = {
    "ceilings": "bandwidth of a copy, and rate of a matrix product in bfloat16",
    "operations": "each fused operation against the same by torch",
    "network": "decoding, prefill and vision: shares of the ceilings, and against transformers",
    "requests": "32 and 128 requests at once, with and without CUDA graphs",
    "weights": "decoding with int4, fp8 and int8 weights against bfloat16",
    "summary": "print the results of the other parts",
}

SHAPES = ("3b", "7b", "tiny")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a part runs and where its results go.

    Attributes:
        device: torch's name of the device.
        shape: one of `SHAPES`.
        folder: of the results.
    """

    device: str
    shape: str
    folder: Path

    @property
    def is_cuda(self) -> bool:
        """Whether the numbers mean something."""
        return self.device.startswith("cuda")

    @property
    def steps(self) -> int:
        """Steps of decoding that are timed together."""
        return 32 if self.is_cuda else 2

    def add(self, part: str, name: str, **values: float | str) -> None:
        """Append a result, and print it."""
        row = {"part": part, "shape": self.shape, "name": name, **values}
        with (self.folder / "results.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row) + "\n")
        typer.echo(_line(row))

    def wait(self) -> None:
        """Wait for the device."""
        import torch

        if self.is_cuda:
            torch.cuda.synchronize(self.device)

    def finished(self, run: Callable[[], object]) -> Callable[[], None]:
        """The same run, which waits for the device at its end."""

        def run_and_wait() -> None:
            run()
            self.wait()

        return run_and_wait

    def ceilings(self) -> tuple[float, float]:
        """Bytes per second of a copy, and operations per second of a product; measured once."""
        from benchmarks.gpu_parts import measured_ceilings

        path = self.folder / "ceilings.json"
        if not path.is_file():
            found = measured_ceilings(self)
            path.write_text(json.dumps(found), encoding="utf-8")
        bandwidth, rate = json.loads(path.read_text(encoding="utf-8"))
        return float(bandwidth), float(rate)


def shape_of(name: str) -> ModelConfig:
    """The configuration of a shape."""
    from finesight.config.sizes import named_config

    if name != "tiny":
        return named_config(name)
    config = named_config("3b")
    return config.model_copy(
        update={
            "text": config.text.model_copy(
                update={
                    "hidden_size": 256,
                    "intermediate_size": 384,
                    "num_hidden_layers": 2,
                    "num_attention_heads": 4,
                    "num_key_value_heads": 2,
                    "mrope_section": (8, 12, 12),
                }
            ),
            "vision": config.vision.model_copy(
                update={
                    "depth": 2,
                    "hidden_size": 64,
                    "intermediate_size": 96,
                    "num_heads": 2,
                    "out_hidden_size": 256,
                    "full_attention_layers": (1,),
                }
            ),
        }
    )


def main() -> int:
    """Run one command line; returns its exit code."""
    prepare()  # before anything imports torch
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(bench)
    try:
        app(prog_name="python -m benchmarks.gpu")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def bench(
    part: Annotated[str, typer.Argument(help=f"One of: {', '.join(PARTS)}.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder of the results.", metavar="FOLDER")],
    device: Annotated[str, typer.Option(help="Torch device.")] = "cuda",
    shape: Annotated[str, typer.Option(help=f"One of: {', '.join(SHAPES)}.")] = "3b",
    threads: options.Threads = None,
    debug: options.Debug = False,
) -> None:
    """Measure one part; results are appended to FOLDER/results.jsonl."""
    with reported(debug=debug):
        if part not in PARTS:
            raise ConfigError(f"no part {part!r}", hint=did_you_mean(part, tuple(PARTS)))
        if shape not in SHAPES:
            raise ConfigError(f"no shape {shape!r}", hint=did_you_mean(shape, SHAPES))
        out.mkdir(parents=True, exist_ok=True)
        if part == "summary":
            for row in results(out):
                typer.echo(_line(row))
            return
        from benchmarks import gpu_parts
        from finesight.model.device import checked_device

        checked_device(device)
        started = time.perf_counter()
        place = Place(device, shape, out)
        gpu_parts.RUNS[part](place)
        place.add(part, "seconds of the part", seconds=time.perf_counter() - started)


def results(folder: Path) -> Iterator[dict[str, Any]]:
    """The results in a folder, in the order in which they came."""
    path = folder / "results.jsonl"
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


def _line(row: dict[str, Any]) -> str:
    values = (
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in row.items()
        if name not in ("part", "shape", "name")
    )
    return f"{row['part']:10s} {row['shape']:4s} {row['name']:44s} {', '.join(values)}"


if __name__ == "__main__":
    sys.exit(main())
