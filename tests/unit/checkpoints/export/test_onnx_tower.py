# SPDX-License-Identifier: Apache-2.0
"""The vision tower in onnxruntime gives our visual tokens for pictures of any size and for several frame pairs."""

from __future__ import annotations

import importlib.util
import json
import shutil

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from finesight.batch import pack
from finesight.checkpoints.export import onnx_tower
from finesight.checkpoints.export.formats import ExportSource
from finesight.checkpoints.export.onnx_tower import ONNX_FILE, check_packages, write_onnx
from finesight.checkpoints.export.plain import plain_model
from finesight.checkpoints.export.tower_inputs import grid_inputs
from finesight.conversation import Conversation, ImagePart, Message, VideoPart
from finesight.errors import ConfigError
from finesight.processor.processor import Processor


@pytest.fixture(scope="module")
def exported(tiny_model_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("onnx")
    model = plain_model(tiny_model_folder, dtype=torch.float32)
    write_onnx(ExportSource("toy", tiny_model_folder, model), out)
    return out


@pytest.fixture(scope="module")
def session(exported):
    return onnxruntime.InferenceSession(exported / ONNX_FILE)


@pytest.fixture(scope="module")
def helper(exported):
    """The file beside the model, imported as a user does."""
    spec = importlib.util.spec_from_file_location("shipped_helper", exported / "tower_inputs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ours(folder, part):
    """Our item and visual tokens."""
    sample = Processor.from_folder(folder).encode(Conversation((Message("user", (part,)),)))
    model = plain_model(folder, dtype=torch.float32)
    with torch.no_grad():
        return sample.vision[0], model.encode_vision(pack([sample]).vision).numpy()


@pytest.mark.parity
@pytest.mark.parametrize(
    "size", [(28, 28), (56, 140), (112, 112), (200, 130), (333, 517), (840, 30), (1000, 800)]
)
def test_pictures_of_any_size(exported, session, helper, tiny_model_folder, size):
    """In float32 on both sides, which add in different orders."""
    chance = np.random.default_rng(0)
    picture = Image.fromarray(chance.integers(0, 255, (*size[::-1], 3), dtype=np.uint8))
    item, wanted = ours(tiny_model_folder, ImagePart(source=picture))
    config = helper.read_config(str(exported / "preprocessor_config.json"))
    inputs, grid = helper.picture_inputs(picture, config)
    assert grid == item.grid_thw
    assert np.array_equal(inputs["positions"], item.position_hw.numpy())
    np.testing.assert_allclose(inputs["patches"], item.patches.numpy(), atol=1e-6)
    (found,) = session.run(None, inputs)
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parity
def test_frame_pairs_do_not_mix(session, tiny_model_folder):
    chance = np.random.default_rng(1)
    frames = chance.integers(0, 255, (6, 140, 168, 3), dtype=np.uint8)
    item, wanted = ours(tiny_model_folder, VideoPart(source=frames, fps=2.0))
    assert item.grid_thw[0] == 3
    positions, windows, whole = grid_inputs(item.grid_thw, 8)
    names = ("patches", "positions", "windows", "frames")
    values = (item.whole_patches().numpy(), positions, windows, whole)
    (found,) = session.run(None, dict(zip(names, values, strict=True)))
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())


def test_every_patch_is_in_one_window_and_one_frame():
    _, windows, frames = grid_inputs((3, 10, 12), 8)
    for table in (windows, frames):
        assert sorted(table[table >= 0].tolist()) == list(range(360))
    assert windows.shape == (3 * 4, 64)


def test_the_folder_says_how_to_make_inputs(exported):
    config = json.loads((exported / "preprocessor_config.json").read_text())
    assert (config["window_size"], config["max_pixels"]) == (112, 12845056)
    source = (exported / "tower_inputs.py").read_text()
    assert "finesight." not in source.replace("nothing of finesight", "")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(
        onnx_tower, "find_spec", lambda name: None if name == "onnxscript" else name
    )
    with pytest.raises(ConfigError, match="onnxscript") as caught:
        check_packages()
    assert "finesight[onnx]" in caught.value.hint


def test_the_processor_must_be_known(tiny_model_folder, tmp_path):
    folder = tmp_path / "bare"
    shutil.copytree(tiny_model_folder, folder)
    (folder / "preprocessor_config.json").unlink()
    model = plain_model(folder, dtype=torch.float32)
    with pytest.raises(ConfigError, match=r"preprocessor_config.json"):
        write_onnx(ExportSource("toy", folder, model), tmp_path)
