# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks`: run benchmarks, print ratios and whether they meet their bars."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finesight.cli import options
from finesight.cli.errors import reported
from finesight.cli.names import did_you_mean
from finesight.errors import ConfigError
from finesight.threads import prepare

if TYPE_CHECKING:
    from benchmarks.comparison import Comparison

BENCHES = {
    "start": "cold start of --help and of a first answer, against bare Python and `import torch`; 1 minute",
    "busy": "decoding while other processes keep every core busy, against one thread; 1 minute",
    "auto": 'brief events missed by fps="auto" and by even sampling; 1 minute',
    "video": "peak memory of 64 frames from an hour of 1080p video; 3 minutes",
    "windows": "time per patch of windowed attention, 16,384 patches against 1,024; 2 minutes",
    "engine": "a batch, a second question and a step without the model; 2 minutes",
    "harness": "time of the evaluation harness besides the model's; half a minute",
    "read": "reading 200 pages besides the model: time and memory; lines that reach the Markdown; a minute",
    "sampling": "time of a token by sampling setting, at a vocabulary of 152,064; a minute",
    "constrained": "answers under 500 drawn JSON Schemas: invalid ones, and speed against free ones; 5 minutes",
    "load": "loading a 3B-shaped checkpoint against reading its files; needs 8 GB of disk and of memory",
    "long_context": "peak memory of prompts of up to 131,072 tokens; hours, with --shorten 36 a quarter of an hour",
    "kernels": "products and decoding with packed weights against torch and transformers; needs 8 GB of memory",
    "llama": "decoding with packed weights against llama.cpp; needs --llama-bench and 8 GB of memory",
    "vision": "the vision tower in bfloat16 and int8 against transformers, two sizes of pictures; 3 minutes",
    "mtmd": "the vision tower against llama.cpp, processor time of one thread; needs --llama-mtmd-cli; 5 minutes",
    "prefill": "a prompt of 1,777 tokens in each format against transformers and, with --llama-bench, llama.cpp",
    "packed": "start and peak memory of the 3B shape at full depth in int4; needs 4 GB of disk and 8 GB of memory",
    "hour": "peak memory of a question about an hour of 1080p video, 768 frames; 6 minutes",
    "rounding": "what int8 and int4 change in answers to 200 real questions; needs FINESIGHT_REAL_DATA; 3 minutes",
    "boxes": "by how many pixels boxes move with rounded weights; 2 minutes",
    "preference": "a step of preference training on pairs with pictures, against features for each use; 1 minute",
    "agent": "30 pages of MiniWoB++ through the agent, solved and with random clicks; needs FINESIGHT_MINIWOB",
    "servers": "64 clients against llama-server and transformers serve; needs --llama-server; 5 minutes",
    "training": "training tokens a second against TRL and LLaMA-Factory; needs --trl or --llamafactory; 15 minutes",
    "speed": "vision, prefill and decoding of the 3B shape against transformers; needs 17 GB of memory",
}

ON_ANY_DEVICE = ("windows", "speed")
"""Benchmarks of the network alone; the others measure the host."""


ON_REQUEST = ("agent", "llama", "mtmd", "servers", "long_context", "rounding", "training")
"""Benchmarks that run only when they are named, because they need another program, data of yours, or hours."""


_NEEDED = {
    "llama": "llama-bench",
    "servers": "llama-server",
    "mtmd": "llama-mtmd-cli",
}
"""Programs of llama.cpp that a benchmark cannot do without."""


_MtmdCli = Annotated[
    Path | None,
    typer.Option(help="llama.cpp's program of this name, for the benchmark mtmd.", metavar="FILE"),
]


_Trl = Annotated[
    Path | None,
    typer.Option(
        help="Interpreter of an environment with TRL, made by scripts/trl-venv.sh, for the benchmark training.",
        metavar="FILE",
    ),
]


_LlamaFactory = Annotated[
    Path | None,
    typer.Option(
        "--llamafactory",
        help="The same with LLaMA-Factory, made by scripts/llamafactory-venv.sh.",
        metavar="FILE",
    ),
]


def main(words: Sequence[str] | None = None) -> int:
    """Run one command line; returns 0, or 1 if a bar is missed, 2 for wrong usage, 130 if interrupted."""
    prepare()  # before anything imports torch
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(bench)
    try:
        app(args=None if words is None else list(words), prog_name="python -m benchmarks")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def bench(
    names: Annotated[
        list[str] | None, typer.Argument(help=f"Any of: {', '.join(BENCHES)}. Default: all.")
    ] = None,
    *,
    list_them: Annotated[bool, typer.Option("--list", help="List the benchmarks.")] = False,
    shorten: Annotated[
        int, typer.Option(min=1, help="Divide the depth of the networks by this.")
    ] = 1,
    llama_bench: Annotated[
        Path | None,
        typer.Option(
            help="llama.cpp's program of this name, for the benchmarks llama and prefill.",
            metavar="FILE",
        ),
    ] = None,
    llama_server: Annotated[
        Path | None,
        typer.Option(
            help="llama.cpp's program of this name, for the benchmark servers.", metavar="FILE"
        ),
    ] = None,
    llama_mtmd_cli: _MtmdCli = None,
    trl: _Trl = None,
    llama_factory: _LlamaFactory = None,
    device: Annotated[
        str, typer.Option(help=f"Torch device of the benchmarks {' and '.join(ON_ANY_DEVICE)}.")
    ] = "cpu",
    threads: options.Threads = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Measure speed and memory against stated bars, alternating with the baseline.

    The bars are ratios, because machines differ and may be shared. Exit code 1 if a bar is missed.
    """
    with reported(debug=debug):
        if list_them:
            for name, what in BENCHES.items():
                typer.echo(f"{name:12s} {what}")
            return
        known = BENCHES if device == "cpu" else ON_ANY_DEVICE
        chosen = _chosen(names or [name for name in known if name not in ON_REQUEST], device)
        _check_device(device)
        found: list[Comparison] = []
        programs = {
            "llama-bench": llama_bench,
            "llama-server": llama_server,
            "llama-mtmd-cli": llama_mtmd_cli,
            "trl": trl,
            "llamafactory": llama_factory,
        }
        _check_programs(chosen, programs)
        for comparison in _run(chosen, shorten, device, programs):
            found.append(comparison)
            typer.echo(_line(comparison), err=as_json)
        if as_json:
            _print_json(found, device)
        if not all(comparison.is_met for comparison in found):
            raise typer.Exit(1)


def _chosen(names: list[str], device: str) -> list[str]:
    for name in names:
        if name not in BENCHES:
            raise ConfigError(f"no benchmark {name!r}", hint=did_you_mean(name, tuple(BENCHES)))
        if device != "cpu" and name not in ON_ANY_DEVICE:
            raise ConfigError(
                f"benchmark {name!r} measures the host, not device {device!r}",
                hint=f"benchmarks of a device: {', '.join(ON_ANY_DEVICE)}",
            )
    return names


def _check_programs(names: Sequence[str], programs: Mapping[str, Path | None]) -> None:
    for name, program in _NEEDED.items():
        if name in names and programs[program] is None:
            raise ConfigError(
                f"benchmark {name!r} needs llama.cpp", hint=f"give --{program} its {program}"
            )
    if "training" in names and programs["trl"] is None and programs["llamafactory"] is None:
        raise ConfigError(
            "benchmark 'training' needs TRL or LLaMA-Factory",
            hint="give --trl or --llamafactory an interpreter with it, see scripts/trl-venv.sh and"
            " scripts/llamafactory-venv.sh",
        )


def _check_device(device: str) -> None:
    if device == "cpu":
        return  # always available; checking would import torch, which some benchmarks measure
    from finesight.model.device import checked_device

    checked_device(device)


def _run(
    names: list[str], shorten: int, device: str, programs: Mapping[str, Path | None]
) -> Iterator[Comparison]:
    runs = _runs(shorten, device, programs)
    for name in names:
        typer.echo(f"{name}: {BENCHES[name]}", err=True)
        found = runs[name]()
        yield from found if isinstance(found, Iterable) else [found]


def _runs(
    shorten: int, device: str, programs: Mapping[str, Path | None]
) -> dict[str, Callable[[], Comparison | Iterable[Comparison]]]:
    """What each benchmark calls."""
    from benchmarks import (
        agent,
        documents,
        engine,
        harness,
        kernels,
        llama_cpp,
        long_context,
        media,
        mtmd,
        network,
        packed_start,
        preference,
        prompt,
        rounding,
        sampling,
        servers,
        start,
        training,
    )

    blocks, layers = max(32 // shorten, 1), max(36 // shorten, 1)
    return {
        "start": start.bench_start,
        "busy": start.bench_busy,
        "auto": media.bench_auto_frames,
        "video": media.bench_long_video,
        "windows": lambda: network.bench_windows(device=device),
        "engine": engine.bench_engine,
        "harness": harness.bench_harness,
        "read": documents.bench_read,
        "sampling": sampling.bench_sampling,
        "constrained": sampling.bench_constrained,
        "load": lambda: network.bench_load(blocks=blocks, layers=layers),
        "kernels": lambda: kernels.bench_kernels(layers=min(layers, 9)),
        "llama": lambda: llama_cpp.compare_with_llama_cpp(
            programs["llama-bench"] or Path(), layers=min(layers, 9), threads=_torch_threads()
        ),
        "long_context": lambda: long_context.bench_long_context(shorten=shorten),
        "vision": lambda: prompt.bench_vision(blocks=min(blocks, 8)),
        "mtmd": lambda: mtmd.compare_with_mtmd(programs["llama-mtmd-cli"] or Path()),
        "prefill": lambda: prompt.bench_prefill(
            layers=min(layers, 6), program=programs["llama-bench"]
        ),
        "packed": lambda: packed_start.bench_packed_start(layers=layers, blocks=blocks),
        "hour": media.bench_hour,
        "rounding": rounding.bench_rounding,
        "boxes": rounding.bench_boxes,
        "preference": lambda: preference.bench_preference(layers=max(5 // shorten, 2)),
        "agent": agent.bench_agent,
        "servers": lambda: servers.compare_servers(programs["llama-server"] or Path()),
        "training": lambda: training.compare_training(programs),
        "speed": lambda: network.compare_with_transformers(
            blocks=blocks, layers=layers, device=device
        ),
    }


def _torch_threads() -> int:
    import torch

    return torch.get_num_threads()


def _line(comparison: Comparison) -> str:
    return f"{'ok    ' if comparison.is_met else 'MISSED'}  {comparison}"


def _print_json(found: list[Comparison], device: str) -> None:
    import platform
    from importlib.metadata import version

    import torch

    from finesight.cli.output import print_json

    print_json(
        {
            "finesight": version("finesight"),
            "torch": torch.__version__,
            "device": device,
            "threads": torch.get_num_threads(),
            "machine": platform.processor() or platform.machine(),
            "results": [
                {**asdict(item), "ratio": item.ratio, "is_met": item.is_met} for item in found
            ],
        }
    )


if __name__ == "__main__":
    sys.exit(main())
