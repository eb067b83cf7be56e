# SPDX-License-Identifier: Apache-2.0
"""Machine report: versions, processors, memory, codecs, optional libraries, speed.

The speed is measured within a fraction of a second: good enough for estimates, not for comparisons.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch

from finesight.threads import memory_bytes, physical_cores

Status = Literal["ok", "missing", "slow", "note"]

EXTRAS = {
    "transformers": "lets `finesight doctor --model` compare a model with the reference",
    "huggingface_hub": "downloads published models from Hugging Face",
    "modelscope": "downloads published models from ModelScope",
    "pillow_heif": "reads HEIF pictures",
}
"""Optional libraries and their purpose."""

VIDEO_CODECS = ("h264", "hevc", "vp9", "av1", "mpeg4")

_PROBE_SIZE = 1024
_PROBE_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a report.

    Attributes:
        name: what was checked.
        value: the result.
        status: its assessment.
        hint: what to do about it.
    """

    name: str
    value: str
    status: Status = "ok"
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Speed:
    """Measured speed of a device.

    Attributes:
        flops_per_second: operations in a matrix product of the measured dtype; a multiply-add counts as two.
        bytes_per_second: bandwidth of sequential reads from memory.
    """

    flops_per_second: float
    bytes_per_second: float


def machine_report(embedded_model: Path | None, *, wait_policy: str | None = None) -> list[Finding]:
    """Report everything that decides what can be run on this machine.

    Args:
        embedded_model: folder of the embedded model; None if this copy has none.
        wait_policy: value of OMP_WAIT_POLICY when torch was loaded.
    """
    return [
        *_software(),
        *_processors(),
        _threads(torch.get_num_threads(), physical_cores(), wait_policy),
        *_memory(),
        *_media(),
        *_extras(),
        *_torchvision(),
        _embedded(embedded_model),
    ]


def measure_speed(device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Speed:
    """Measure a matrix product and a sequential read of memory; takes about half a second."""
    block = torch.zeros(_PROBE_BYTES // 4, device=device)
    read_seconds = _best_seconds(lambda: block.sum(), device)
    return Speed(measure_products(device, dtype), _PROBE_BYTES / read_seconds)


def measure_products(device: torch.device | str, dtype: torch.dtype) -> float:
    """Operations a second of a matrix product; a multiply-add counts as two."""
    left = torch.ones(_PROBE_SIZE, _PROBE_SIZE, device=device, dtype=dtype)
    return 2 * _PROBE_SIZE**3 / _best_seconds(lambda: left @ left, device)


def has_bfloat16(device: torch.device | str = "cpu") -> bool:
    """Whether the hardware computes bfloat16, without emulation."""
    if torch.device(device).type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _best_seconds(run: Callable[[], object], device: torch.device | str, rounds: int = 4) -> float:
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
    return best


def _software() -> Iterator[Finding]:
    yield Finding("finesight", version("finesight"))
    yield Finding(
        "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    )
    yield Finding("torch", str(torch.__version__))


def _processors() -> Iterator[Finding]:
    capability = torch.backends.cpu.get_cpu_capability()
    yield Finding("cpu", capability)
    if has_bfloat16():
        yield Finding("bfloat16 on the cpu", "in hardware")
    else:
        yield Finding(
            "bfloat16 on the cpu", "emulated", "slow", "load models with dtype float32 here"
        )
    speed = measure_speed()
    yield Finding(
        "speed",
        f"{speed.flops_per_second / 1e9:.0f} GFLOP/s in float32, "
        f"reads {speed.bytes_per_second / 1e9:.0f} GB/s",
    )
    if not torch.cuda.is_available():
        yield Finding("cuda", "no device", "note")
        return
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        yield Finding(f"cuda:{index}", f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB")


def _threads(count: int, cores: int, wait_policy: str | None) -> Finding:
    value = f"{count} of torch, {cores} physical cores, OMP_WAIT_POLICY {wait_policy or 'not set'}"
    if count > cores:
        hint = f"more threads than cores slow each other down: set OMP_NUM_THREADS={cores}"
        return Finding("threads", value, "slow", hint)
    if count > 1 and wait_policy != "passive":
        hint = "threads that spin while they wait slow a busy machine: set OMP_WAIT_POLICY=passive"
        return Finding("threads", value, "note", hint)
    return Finding("threads", value)


def _memory() -> Iterator[Finding]:
    total, available = memory_bytes()
    if total:
        yield Finding("memory", f"{available / 2**30:.1f} GiB available of {total / 2**30:.1f} GiB")


def _media() -> Iterator[Finding]:
    import av
    from PIL import features

    missing = [name for name in VIDEO_CODECS if name not in av.codecs_available]
    yield Finding(
        "video codecs",
        ", ".join(name for name in VIDEO_CODECS if name not in missing),
        "missing" if missing else "ok",
        f"this build of PyAV lacks {', '.join(missing)}" if missing else "",
    )
    formats = [name for name in ("jpg", "jpg_2000", "webp", "avif") if features.check(name)]
    yield Finding("picture formats", ", ".join(["png", *formats]))
    yield Finding("pdf", f"pypdfium2 {version('pypdfium2')}")


def _extras() -> Iterator[Finding]:
    for name, purpose in EXTRAS.items():
        if find_spec(name) is None:
            yield Finding(name, "not installed", "note", f"{purpose}: pip install {name}")
            continue
        try:
            yield Finding(name, version(name))
        except PackageNotFoundError:
            yield Finding(name, "installed, version unknown")


def _torchvision() -> Iterator[Finding]:
    """Whether torchvision can be imported: transformers needs it if it is installed."""
    if find_spec("transformers") is None or find_spec("torchvision") is None:
        return
    # In a separate process, because a failed import leaves its process in a broken state.
    command = [sys.executable, "-c", "import torchvision"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = version("torchvision")
    if done.returncode == 0:
        yield Finding("torchvision", found)
        return
    reason = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    yield Finding(
        "torchvision",
        f"{found} cannot be imported beside torch {torch.__version__}: {reason[-1]}",
        "missing",
        f"transformers cannot load Qwen2.5-VL. Install the build for this torch: {_matching_build()}; "
        "or pip uninstall torchvision",
    )


def _matching_build() -> str:
    """The command that installs the torchvision built for the installed torch."""
    minor = int(torch.__version__.split(".")[1])
    build = "cpu" if torch.version.cuda is None else f"cu{torch.version.cuda.replace('.', '')}"
    # torchvision 0.15 belongs to torch 2.0; later releases are numbered alike.
    wanted = f"torchvision==0.{minor + 15}.*"
    return f"pip install '{wanted}' --index-url https://download.pytorch.org/whl/{build}"


def _embedded(folder: Path | None) -> Finding:
    if folder is None:
        return Finding(
            "embedded model", "not in this copy", "missing", "install a released version"
        )
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    return Finding("embedded model", f"{size / 2**20:.1f} MiB of weights")
