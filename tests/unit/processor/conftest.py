# SPDX-License-Identifier: Apache-2.0
"""A processor with the tiny vocabulary and the published budgets."""

from __future__ import annotations

import pytest

from finesight.config.model import ModelConfig
from finesight.processor.processor import Processor


@pytest.fixture(scope="session")
def tiny_processor(tiny_tokenizer, tiny_hf_config):
    return Processor(tiny_tokenizer, ModelConfig.from_hf(tiny_hf_config))
