# SPDX-License-Identifier: Apache-2.0
"""Errors for a model argument that is not a Qwen2.5-VL checkpoint: what it is, and what to type instead.

Ollama names, URLs, quantised copies and other model families are recognised by their spelling,
files by their first bytes. The network is not used.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from finesight.config.sizes import RELEASE_NAMES, released_size
from finesight.errors import ConfigError

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")

_HUB_PAGE = re.compile(
    r"https?://(?:www\.)?(?:huggingface\.co|hf\.co|modelscope\.(?:cn|ai)/models)/([\w.-]+/[\w.-]+)"
)

_OLLAMA = re.compile(r"[\w.-]+(?:/[\w.-]+)*:[\w.-]+")

_SIZE_INSIDE = re.compile(r"qwen2[._]5-?vl\W?(\d+b)", re.IGNORECASE)

_QUANTISED = re.compile(
    r"[-_.](awq|gptq|gguf|fp8|nf4|int[48]|[48]-?bit|bnb|mlx|exl[23]|w\d+a\d+|q\d_\w+)(?![a-z])",
    re.IGNORECASE,
)

_READ = ("awq", "gptq")
"""Quantisations that are loaded; `finesight.config.quantisation` checks their details."""

_OTHER_FAMILY = re.compile(r"qwen(?:2|3(?:\.\d)?)-?vl|qwen[23](?:\.5)?-omni|qvq", re.IGNORECASE)

_GGUF_VISION = re.compile(rb"general\.architecture.{12}clip", re.DOTALL)

_GGML = (b"lmgg", b"fmgg", b"tjgg")
"""First bytes of GGML's files."""

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def name_mistake(name: str) -> ConfigError | None:
    """The error for a name that is not a local folder; None if it may be a published name."""
    page = _HUB_PAGE.match(name)
    if page or _ADDRESS.match(name):
        hint = f"give the name alone: {page[1]}" if page else "give a folder or a published name"
        return ConfigError(f"model {name} is a URL", hint=hint)
    size = released_size(name)
    if size is not None and name != RELEASE_NAMES[size]:
        if ":" in name or ("/" not in name and "-" not in name):
            return ConfigError(
                f"model {name} is Ollama's name of a model that its store on this disk does not have",
                hint=f"type {RELEASE_NAMES[size]}, or pull it first: ollama pull {name} "
                "(OLLAMA_MODELS names the store)",
            )
        return ConfigError(
            f"model {name} is not a local folder", hint=f"type {RELEASE_NAMES[size]}"
        )
    if _SIZE_INSIDE.search(name) and (quantised := _QUANTISED.search(name)):
        return _quantised_mistake(name, quantised[1])
    if _OTHER_FAMILY.search(name):
        return ConfigError(
            f"model {name} is of another family; finesight runs Qwen2.5-VL",
            hint=f"type one of {', '.join(RELEASE_NAMES.values())}",
        )
    if _OLLAMA.fullmatch(name):
        return ConfigError(
            f"model {name} is a name of Ollama that its store on this disk does not have, or of another program",
            hint=f"type a folder, or one of {', '.join(RELEASE_NAMES.values())}",
        )
    return None


def _quantised_mistake(name: str, kind: str) -> ConfigError | None:
    """The error for a quantised copy; None if its format is loaded and the name includes an owner."""
    release = _release_inside(name)
    if kind.lower() == "gguf":
        return ConfigError(
            f"model {name} is a folder of GGUF files on a hub, which finesight does not choose from",
            hint=f"download one .gguf and its mmproj file and give the path, or type {release}",
        )
    if kind.lower() not in _READ:
        return ConfigError(
            f"model {name} is a quantised copy ({kind}), which finesight does not load",
            hint=f"type {release}; its weights are not quantised. Or type {release}-AWQ, with 4 bits",
        )
    if "/" in name:
        return None
    return ConfigError(f"model {name} is not a local folder", hint=f"type {release}-AWQ")


def file_mistake(path: Path) -> ConfigError:
    """The error for a path that is not a folder.

    Raises:
        OSError: it cannot be read.
    """
    if not path.is_file():
        return ConfigError(f"model {path} is neither a folder nor a regular file")
    with path.open("rb") as file:
        head = file.read(4096)
    if head.startswith(b"GGUF"):
        return ConfigError(
            f"model {path} is the vision tower of a GGUF model (mmproj)",
            hint="give the file of its language model, and this one as --mmproj (in Python mmproj=)",
        )
    folder = f"give the folder with config.json and the weights: {path.parent}"
    if path.name.startswith("adapter_model"):
        return ConfigError(
            f"model {path} is a file with the weights of a LoRA adapter",
            hint=f"give its base as the model, and --adapter {path.parent} (in Python adapters=)",
        )
    if path.suffix == ".safetensors":
        return ConfigError(f"model {path} is a weight file, perhaps one of several", hint=folder)
    for format_name, is_meant in _OTHER_FORMATS.items():
        if is_meant(path, head):
            return ConfigError(
                f"model {path} is a model in {format_name}, which finesight does not load",
                hint=f"give the model it was converted from: a folder, or {_release_inside(path.name)}",
            )
    if path.suffix in _PICKLES:
        return ConfigError(
            f"model {path} is a pickle of weights, which is never opened because it can run code",
            hint="give a folder with *.safetensors",
        )
    return _other_file(path, head, folder)


def is_language_gguf(path: Path) -> bool:
    """Whether a file is a GGUF file, but not a vision tower alone (mmproj)."""
    with path.open("rb") as file:
        head = file.read(4096)
    is_tower = "mmproj" in path.name.lower() or _GGUF_VISION.search(head)
    return head.startswith(b"GGUF") and not is_tower


def _ends(*endings: str) -> Callable[[Path, bytes], bool]:
    return lambda path, _: path.name.lower().endswith(endings)


_OTHER_FORMATS: dict[str, Callable[[Path, bytes], bool]] = {
    "ONNX": _ends(".onnx"),
    "TensorFlow": _ends(".h5", ".keras", ".pb", ".tflite", ".index"),
    "the format of Flax": _ends(".msgpack"),
    "the format of MLX": _ends(".npz"),
    "Core ML": _ends(".mlmodel", ".mlpackage"),
    "the format of TensorRT": _ends(".engine", ".plan"),
    "the format GGML, the predecessor of GGUF": lambda _, head: head[:4] in _GGML,
}
"""Formats by their names or first bytes."""


def _other_file(path: Path, head: bytes, folder: str) -> ConfigError:
    from finesight.media.source import kind_of

    if not head:
        return ConfigError(f"model {path} is an empty file", hint=folder)
    kind = kind_of(head)
    for ending, option in (("picture", "--image"), ("video", "--video"), ("PDF document", "--pdf")):
        if kind.endswith(ending):
            return ConfigError(
                f"model {path} is a file, a {kind}",
                hint=f"give it as {option} (in Python as images, videos or pdf); --model takes tiny, "
                "a folder or a published name",
            )
    return ConfigError(f"model {path} is a file, a {kind}", hint=folder)


def _release_inside(text: str) -> str:
    """The release whose size a name contains, else the 3B release."""
    found = _SIZE_INSIDE.search(text)
    return RELEASE_NAMES.get(found[1].lower() if found else "", RELEASE_NAMES["3b"])
