# SPDX-License-Identifier: Apache-2.0
"""A pixel budget other than that of the training is noticed once; published models are not compared."""

from __future__ import annotations

import json
import shutil
import warnings

import pytest
from PIL import Image

from finesight.conversation import Conversation, ImagePart, Message
from finesight.errors import ConfigError
from finesight.processor.from_hf import RECORD, read_trained_pixels
from finesight.processor.processor import Processor


def picture(**budget) -> Conversation:
    part = ImagePart(source=Image.new("RGB", (84, 56)), **budget)
    return Conversation((Message("user", (part,)),))


@pytest.fixture
def folder(tiny_model_folder, tmp_path):
    shutil.copytree(tiny_model_folder, tmp_path / "model")
    budget = {"min_pixels": 3136, "max_pixels": 12845056}
    (tmp_path / "model" / RECORD).write_text(json.dumps({"pixels": budget}))
    return tmp_path / "model"


def test_another_budget_warns_once(folder) -> None:
    processor = Processor.from_folder(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        processor.encode(picture())
        processor.encode(picture(max_pixels=12845056))
    with pytest.warns(UserWarning, match=r"3136 to 50176 pixels, but the model was trained with"):
        processor.encode(picture(max_pixels=50176))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        processor.encode(picture(max_pixels=50176))


@pytest.mark.parametrize("budget", [{"detail": "low"}, {"min_pixels": 0}])
def test_low_detail_and_no_lower_bound_are_other_budgets(folder, budget) -> None:
    with pytest.warns(UserWarning, match="but the model was trained with"):
        Processor.from_folder(folder).encode(picture(**budget))


def test_a_model_without_a_record_is_not_compared(tiny_model_folder) -> None:
    processor = Processor.from_folder(tiny_model_folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        processor.encode(picture(max_pixels=50176))


def test_a_broken_record(folder) -> None:
    (folder / RECORD).write_text('{"pixels": {"min_pixels": 1}}')
    with pytest.raises(ConfigError, match="has no min_pixels and max_pixels"):
        read_trained_pixels(folder)
    (folder / RECORD).write_text('{"base": "x"}')
    assert read_trained_pixels(folder) is None
