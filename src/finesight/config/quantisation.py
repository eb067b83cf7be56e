# SPDX-License-Identifier: Apache-2.0
"""Read `quantization_config` of a published `config.json`: AWQ and GPTQ are loaded, others are errors.

Source: AutoAWQ `models/_config.py`, AutoGPTQ and GPTQModel `quantization/config.py`, transformers
`utils/quantization_config.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from finesight.config.settings import Settings
from finesight.errors import ConfigError

_BITS = {"awq": (4,), "gptq": (4, 8)}

_LAYOUTS = {"awq": ("gemm",), "gptq": ("gptq", "gptq_v2")}
"""Layouts of the stored tensors that are read, the default first."""

_UNCALIBRATED = (
    "it rounds the released weights without calibration, so the release itself is at least as accurate, "
    "and its layout is read only by its own library"
)

_FLOATS = "its small floats save time only on GPUs that compute in them"

_REASONS = {
    "bitsandbytes": _UNCALIBRATED,
    "hqq": _UNCALIBRATED,
    "quanto": _UNCALIBRATED,
    "eetq": _UNCALIBRATED,
    "fp8": _FLOATS,
    "fbgemm_fp8": _FLOATS,
    "mxfp4": _FLOATS,
    "nvfp4": _FLOATS,
    "compressed-tensors": "the name stands for many layouts of llm-compressor, and none of them is read",
    "mlx": "the layout of MLX is read on Apple's machines only",
    "auto-round": "its own layout is not read; auto-round also exports the formats auto_awq and auto_gptq",
}

_HINT = (
    "use the model this one was made from, such as Qwen/Qwen2.5-VL-7B-Instruct, or an AWQ release, such as "
    "Qwen/Qwen2.5-VL-7B-Instruct-AWQ; dtype bfloat16 halves the memory of float32"
)


class Quantisation(Settings):
    """How the weights of linear layers are stored: integer codes, with a scale and a zero point for each group."""

    method: Literal["awq", "gptq"] = Field(description="layout of the stored tensors")
    bits: Literal[4, 8] = Field(description="bits of a code")
    group_size: int = Field(description="inputs that share a scale; -1: all inputs of a layer")
    zero_offset: Literal[0, 1] = Field(description="what is added to a stored zero point")
    desc_act: bool = Field(default=False, description="groups consist of inputs in any order")
    is_symmetric: bool = Field(default=False, description="every zero point is the middle code")
    modules_to_not_convert: tuple[str, ...] = Field(
        default=(), description="modules that are not quantised"
    )

    @property
    def label(self) -> str:
        """Method, bits and groups, for messages."""
        groups = "a scale per output" if self.group_size == -1 else f"groups of {self.group_size}"
        return f"{self.method.upper()}, {self.bits} bits, {groups}"


def read_quantisation(section: Any) -> dict[str, Any] | None:
    """Values for `Quantisation`; None if the weights are plain.

    Args:
        section: the value of `quantization_config`.

    Raises:
        ConfigError: a method, layout or number of bits that is not loaded.
    """
    if not section:
        return None
    if not isinstance(section, Mapping):
        raise _refused(str(section), "it is not an object with a quant_method")
    method = _method(section)
    if method not in _LAYOUTS:
        reason = _REASONS.get(method.split()[0], "its layout is not read")
        raise _refused(method, f"{reason}; AWQ and GPTQ are")
    layout = _layout(section, method)
    if layout not in _LAYOUTS[method]:
        raise _refused(
            f"{method} in the layout {layout}", f"only {' and '.join(_LAYOUTS[method])} is read"
        )
    bits = section.get("bits")
    if bits not in _BITS[method]:
        known = " or ".join(map(str, _BITS[method]))
        raise _refused(f"{method} in {bits} bits", f"of {method}, {known} bits are read")
    if method == "awq" and not section.get("zero_point", True):
        raise _refused("awq without zero points", "its tensors have no zero points, which are read")
    return {
        "method": method,
        "bits": bits,
        "group_size": _group_size(section),
        "zero_offset": int(layout == "gptq"),
        "desc_act": bool(method == "gptq" and section.get("desc_act")),
        "is_symmetric": bool(method == "gptq" and section.get("sym")),
        "modules_to_not_convert": _module_names(section),
    }


def _refused(method: str, reason: str) -> ConfigError:
    return ConfigError(
        f"config.json: the weights are quantised with {method}, which finesight does not load: {reason}",
        hint=_HINT,
    )


def _method(section: Mapping[str, Any]) -> str:
    """Name of the method in lower case; that of bitsandbytes with its data type."""
    if "quant_method" not in section and {"group_size", "bits"} <= section.keys():
        return "mlx"
    method = str(section.get("quant_method")).lower()
    if method == "bitsandbytes" or section.get("load_in_4bit") or section.get("load_in_8bit"):
        kind = "int8" if section.get("load_in_8bit") else section.get("bnb_4bit_quant_type", "")
        return f"bitsandbytes {kind}".strip()
    return method


def _layout(section: Mapping[str, Any], method: str) -> str:
    """Layout of the stored tensors, in lower case."""
    if section.get("is_marlin_format"):
        return "marlin"
    keys = ("version", "format") if method == "awq" else ("checkpoint_format", "format")
    found = (section[key] for key in keys if section.get(key))
    return str(next(found, _LAYOUTS[method][0])).lower()


def _group_size(section: Mapping[str, Any]) -> int:
    size = section.get("group_size")
    if isinstance(size, bool) or not isinstance(size, int) or not (size == -1 or size > 0):
        raise ConfigError(
            f"config.json: quantization_config.group_size is {size!r}, expected a positive number, or -1",
            hint="download config.json again: the weights cannot be read without their group size",
        )
    return size


def _module_names(section: Mapping[str, Any]) -> tuple[str, ...]:
    names = section.get("modules_to_not_convert") or ()
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ConfigError(
            f"config.json: quantization_config.modules_to_not_convert is {names!r}, expected a list of names",
            hint="the AWQ releases have the list ['visual']",
        )
    return tuple(names)
