#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Measure a bare decoder on the English of the report card, and store the numbers in the package.

    python scripts/measure_bare_decoder.py FOLDER --name SmolLM2-135M-Instruct

FOLDER is a checkpoint of the decoder before it learned to see. See `finesight.evals.suites.english`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from finesight import load
from finesight.evals.suites.english import BareDecoder, read_prose


def main() -> None:
    """Measure and store."""
    parser = argparse.ArgumentParser(description="Store what a bare decoder knows of English.")
    parser.add_argument("folder", type=Path, help="checkpoint folder of the bare decoder")
    parser.add_argument("--name", required=True, help="its published name")
    given = parser.parse_args()
    model = load(given.folder)
    tokens = model.processor.tokenizer.encode(read_prose())
    bare = BareDecoder.measured(given.name, model.engine, tokens)
    print(f"perplexity {bare.perplexity} on {bare.num_tokens} tokens, stored in {bare.store()}")


if __name__ == "__main__":
    main()
