# SPDX-License-Identifier: Apache-2.0
"""A Modelfile follows the documented grammar: comments, `INSTRUCTION arguments`, and texts in three quotes."""

from __future__ import annotations

import re

import pytest

from finesight.checkpoints.export.ollama import modelfile
from finesight.text import special_tokens as names
from finesight.text.chat_template import DEFAULT_SYSTEM

INSTRUCTIONS = {"FROM", "PARAMETER", "TEMPLATE", "SYSTEM", "ADAPTER", "LICENSE", "MESSAGE"}
WHOLE = r"-?\d+"
NUMBER = r"-?\d+(\.\d+)?(e[+-]?\d+)?"
PARAMETERS = {
    **dict.fromkeys(("num_ctx", "repeat_last_n", "seed", "num_predict", "top_k"), WHOLE),
    **dict.fromkeys(("temperature", "top_p", "min_p", "repeat_penalty"), NUMBER),
    "stop": r'"[^"]+"',
}
"""Parameters of Ollama's reference and the form of their values."""
_TEXT = re.compile(r'"""(.*?)"""(?=\s*$|\s*\n[A-Z]+ )', re.DOTALL)


def parsed(text: str) -> list[tuple[str, str]]:
    """Instructions with their arguments; what fits no rule fails."""
    found, at = [], 0
    while at < len(text):
        line = re.compile(r"([A-Z]+) ").match(text, at)
        assert line, text[at : at + 40]
        assert line[1] in INSTRUCTIONS
        at = line.end()
        if quoted := _TEXT.match(text, at):
            found.append((line[1], quoted[1]))
            at = quoted.end() + 1
            continue
        assert not text.startswith('"""', at), "a text without an end"
        end = text.index("\n", at)
        found.append((line[1], text[at:end]))
        at = end + 1
    return found


@pytest.mark.parametrize(
    "licence",
    [
        "",
        "apache-2.0",
        'Line one\n\nLine two: a "quoted" word\n',
        'quotes """ inside\nFROM ./evil.gguf',
        '"starts and ends with quotes"',
    ],
)
def test_the_grammar(licence):
    files = ["model-F16.gguf", "mmproj-F16.gguf"]
    parameters = {
        "temperature": 1e-06,
        "top_p": 0.001,
        "top_k": 1_234_567,
        "num_ctx": 128_000,
        "num_predict": 2**31 - 1,
        "repeat_penalty": 1.05,
    }
    found = parsed(modelfile(files, parameters=parameters, license_text=licence))
    assert [text for name, text in found if name == "FROM"] == [f"./{name}" for name in files]
    assert [text for name, text in found if name == "SYSTEM"] == [DEFAULT_SYSTEM]
    assert [text for name, text in found if name == "LICENSE"] == (
        [licence.replace('"""', "'''")] if licence else []
    )
    stated = [text.split(" ", 1) for name, text in found if name == "PARAMETER"]
    for name, value in stated:
        assert re.fullmatch(PARAMETERS[name], value), (name, value)
    values = {name: float(value) for name, value in stated if name != "stop"}
    assert values == parameters
    stops = [value.strip('"') for name, value in stated if name == "stop"]
    assert stops == [names.IM_END, names.END_OF_TEXT]


def test_the_template_writes_chatml():
    """What Ollama's template language makes of two messages, computed here for its three constructs."""
    ((_, template),) = [
        each
        for each in parsed(modelfile(["m.gguf"], parameters={}, license_text=""))
        if each[0] == "TEMPLATE"
    ]
    loop = re.fullmatch(r"\{\{- range \.Messages \}\}(.*)\{\{ end \}\}(.*)", template, re.DOTALL)
    assert loop
    messages = [("system", "Be brief."), ("user", "Hello")]
    said = "".join(
        loop[1].replace("{{ .Role }}", role).replace("{{ .Content }}", text)
        for role, text in messages
    )
    assert said + loop[2] == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert "{{" not in said + loop[2]
