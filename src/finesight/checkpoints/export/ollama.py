# SPDX-License-Identifier: Apache-2.0
"""Writes a Modelfile, from which `ollama create NAME -f Modelfile` makes a model of two GGUF files.

The template is ChatML in Ollama's own language (Go's), without tools: Ollama puts pictures in front of the text of
their message, as the released template does.

Source: Ollama's documentation of the Modelfile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from finesight.text import special_tokens as names
from finesight.text.chat_template import DEFAULT_SYSTEM

_TEMPLATE = (
    "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n"
    "{{ end }}<|im_start|>assistant\n"
)


def modelfile(
    files: Sequence[str],
    *,
    parameters: Mapping[str, float | int],
    license_text: str,
) -> str:
    """The text of a Modelfile.

    Args:
        files: names of the GGUF files beside it, the language model first.
        parameters: values of Ollama's sampling parameters, such as `temperature`.
        license_text: licence of the weights, its name or its text; empty if unknown.
    """
    lines = [f"FROM ./{name}" for name in files]
    lines.append(f"TEMPLATE {_quoted(_TEMPLATE)}")
    lines.append(f"SYSTEM {_quoted(DEFAULT_SYSTEM)}")
    lines += [f"PARAMETER {name} {_number(value)}" for name, value in parameters.items()]
    lines += [f'PARAMETER stop "{token}"' for token in (names.IM_END, names.END_OF_TEXT)]
    if license_text:
        lines.append(f"LICENSE {_quoted(license_text)}")
    return "\n".join(lines) + "\n"


def _number(value: float | int) -> str:
    """A number with all its digits; Ollama does not read 1e+06 where it expects a whole number."""
    return str(value) if isinstance(value, int) else f"{value:.12g}"


def _quoted(text: str) -> str:
    """A text over several lines; three quotes in it would end it, so they become apostrophes."""
    return '"""' + text.replace('"""', "'''") + '"""'
