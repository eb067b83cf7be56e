# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from finesight.config.quantisation import Quantisation, read_quantisation
from finesight.errors import ConfigError

AWQ = {
    "bits": 4,
    "group_size": 128,
    "modules_to_not_convert": ["visual"],
    "quant_method": "awq",
    "version": "gemm",
    "zero_point": True,
}
"""Section of the AWQ releases."""

GPTQ = {
    "bits": 4,
    "checkpoint_format": "gptq",
    "desc_act": True,
    "group_size": 128,
    "quant_method": "gptq",
    "sym": True,
}


def read(section):
    values = read_quantisation(section)
    return None if values is None else Quantisation(**values)


@pytest.mark.parametrize("section", [None, {}, ""])
def test_plain_weights(section):
    assert read(section) is None


def test_the_section_of_the_awq_releases():
    assert read(AWQ) == Quantisation(
        method="awq",
        bits=4,
        group_size=128,
        zero_offset=0,
        modules_to_not_convert=("visual",),
    )


@pytest.mark.parametrize(
    ("changes", "offset"),
    [
        ({}, 1),
        ({"checkpoint_format": "gptq_v2"}, 0),
        ({"checkpoint_format": None, "format": "gptq_v2"}, 0),
        ({"checkpoint_format": None}, 1),
        ({"bits": 8}, 1),
    ],
)
def test_versions_of_gptq(changes, offset):
    section = GPTQ | changes
    assert read(section) == Quantisation(
        method="gptq",
        bits=section["bits"],
        group_size=128,
        zero_offset=offset,
        desc_act=True,
        is_symmetric=True,
    )
    assert not read(section | {"sym": False}).is_symmetric


def test_the_label_says_what_is_stored():
    assert read(AWQ).label == "AWQ, 4 bits, groups of 128"
    assert read(GPTQ | {"bits": 8, "group_size": -1}).label == "GPTQ, 8 bits, a scale per output"


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("awq", "quantised with awq, which .*: it is not an object with a quant_method"),
        ({"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, "bitsandbytes nf4, .*: it rounds .* without calib"),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "bitsandbytes int8, .*without calibration"),
        ({"quant_method": "hqq"}, "hqq, .*without calibration"),
        ({"quant_method": "fp8"}, "fp8, .*: its small floats save time only on GPUs"),
        ({"quant_method": "compressed-tensors"}, "compressed-tensors, .*many layouts of llm-compressor"),
        ({"quant_method": "auto-round"}, "auto-round, .*auto_gptq"),
        ({"group_size": 64, "bits": 4}, "mlx, .*Apple's machines"),
        ({"quant_method": "aqlm"}, "aqlm, .*: its layout is not read; AWQ and GPTQ are"),
        ({"bits": 4}, "quantised with none, .*: its layout is not read"),
        (AWQ | {"version": "gemv"}, "awq in the layout gemv, .*: only gemm is read"),
        (AWQ | {"version": None, "format": "llm-awq"}, "awq in the layout llm-awq"),
        (AWQ | {"bits": 3}, "awq in 3 bits, .*: of awq, 4 bits are read"),
        (AWQ | {"zero_point": False}, "awq without zero points"),
        (GPTQ | {"bits": 3}, "gptq in 3 bits, .*: of gptq, 4 or 8 bits are read"),
        (GPTQ | {"bits": None}, "gptq in None bits"),
        (GPTQ | {"checkpoint_format": "marlin"}, "gptq in the layout marlin, .*: only gptq and gptq_v2"),
        (GPTQ | {"is_marlin_format": True}, "gptq in the layout marlin"),
    ],
)  # fmt: skip
def test_what_is_not_loaded_has_a_reason_and_a_way_out(section, said):
    with pytest.raises(ConfigError, match=said) as caught:
        read_quantisation(section)
    assert "Qwen/Qwen2.5-VL-7B-Instruct-AWQ" in caught.value.hint


@pytest.mark.parametrize("size", [None, 0, -2, "128", True, 12.5])
def test_a_group_size_that_is_none(size):
    with pytest.raises(ConfigError, match=rf"group_size is {size!r}, expected a positive number"):
        read_quantisation(AWQ | {"group_size": size})


@pytest.mark.parametrize("names", ["visual", [3], {"visual": 1}])
def test_module_names_that_are_none(names):
    with pytest.raises(ConfigError, match=r"modules_to_not_convert is .*expected a list"):
        read_quantisation(AWQ | {"modules_to_not_convert": names})
