# SPDX-License-Identifier: Apache-2.0
"""Quantised weights on CUDA as far as a CPU can show it: what is refused and why, and which layers are rounded."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn

from finesight.api.network import load_network
from finesight.errors import ConfigError
from finesight.model import quantised_gpu
from finesight.model.quantised_gpu import (
    check_gpu_weights,
    packable,
    quantise_on_gpu,
    weights_format,
)
from finesight.model.vl import VisionLanguageModel
from tests.support.model_cases import small_config

CUDA = torch.device("cuda")


@pytest.fixture
def torchao(monkeypatch):
    """A package of that name that notes what it is asked for."""
    quantization = ModuleType("torchao.quantization")
    for name in (
        "Int8WeightOnlyConfig",
        "Int4WeightOnlyConfig",
        "Float8DynamicActivationFloat8WeightConfig",
        "PerRow",
    ):
        setattr(quantization, name, lambda name=name, **given: SimpleNamespace(name=name, **given))
    asked = []

    def quantize_(module, config, filter_fn):
        asked.append(config)
        for name, one in module.named_modules():
            if filter_fn(one, name):
                asked.append(name)

    quantization.quantize_ = quantize_
    package = ModuleType("torchao")
    package.quantization = quantization
    monkeypatch.setitem(sys.modules, "torchao", package)
    monkeypatch.setitem(sys.modules, "torchao.quantization", quantization)
    monkeypatch.setattr(quantised_gpu, "version", lambda name: "0.18.0")
    return quantization, asked


def test_without_torchao_the_package_and_its_version_are_named(monkeypatch, tiny_model_folder):
    monkeypatch.setitem(sys.modules, "torchao", None)
    with pytest.raises(ConfigError, match=r"need the package torchao, version 0\.18") as told:
        load_network(tiny_model_folder, "cuda", None, "int8", "sdpa")
    assert "finesight[gpu]" in (told.value.hint or "")


@pytest.mark.parametrize("weights", ["int8", "int4", "fp8"])
def test_an_older_torchao_is_named_with_both_versions(monkeypatch, torchao, weights):
    package, _ = torchao
    for name in list(vars(package)):
        if name.endswith("Config"):
            monkeypatch.delattr(package, name)
    monkeypatch.setattr(quantised_gpu, "version", lambda name: "0.9.0")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    with pytest.raises(ConfigError, match=r"torchao 0\.18 or newer, installed is 0\.9\.0"):
        check_gpu_weights(weights, CUDA)


def test_fp8_needs_a_device_that_has_it(monkeypatch, torchao):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    with pytest.raises(ConfigError, match=r"capability 8\.9, device cuda has 8\.0"):
        check_gpu_weights("fp8", CUDA)
    check_gpu_weights("int4", CUDA)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 9))
    check_gpu_weights("fp8", CUDA)


def test_a_cpu_has_no_fp8():
    with pytest.raises(ConfigError, match="no products in float8"):
        packable("fp8")
    assert packable("int4") == "int4"


@pytest.mark.parametrize("weights", ["int8", "int4", "fp8"])
def test_the_layers_of_the_language_model_are_rounded(torchao, weights, monkeypatch):
    _, asked = torchao
    monkeypatch.setitem(quantised_gpu._MULTIPLES, weights, 4)  # the small model has few inputs
    model = VisionLanguageModel(small_config()).bfloat16()
    assert weights_format(model) is None
    quantise_on_gpu(model, weights)
    rounded = {name for name in asked if isinstance(name, str)}
    assert rounded == {
        name for name, one in model.model.named_modules() if isinstance(one, nn.Linear)
    }
    assert len(rounded) == 7 * model.config.text.num_hidden_layers
    assert weights_format(model) == weights


def test_other_dtypes_and_sizes_are_refused(torchao):
    model = VisionLanguageModel(small_config())
    with pytest.raises(ConfigError, match=r"made from bfloat16, the model has torch\.float32"):
        quantise_on_gpu(model, "int8")
    quantise_on_gpu(model, "bf16")
    with pytest.raises(ConfigError, match="inputs; weights int4 need a multiple of 128"):
        quantise_on_gpu(model.bfloat16(), "int4")


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_the_back_end_of_cuda_is_refused_elsewhere(tiny_model_folder, device):
    with pytest.raises(ConfigError, match=f"kernel of CUDA, the device is '{device}'"):
        load_network(tiny_model_folder, device, None, None, "varlen")


def test_apple_devices_have_no_float64(tiny_model_folder):
    with pytest.raises(ConfigError, match="float64 does not exist on device 'mps'"):
        load_network(tiny_model_folder, "mps", torch.float64, None, "sdpa")
