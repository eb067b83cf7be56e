# SPDX-License-Identifier: Apache-2.0
"""The public names are a promise: what is listed here is there, and nothing else is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import finesight
from finesight import api

PROMISED = {
    *("load", "ask", "locate", "inspect", "read", "extract", "classify", "review"),
    *("agent", "describe_screen", "Model", "AskOptions", "Answer", "read_answer"),
    *("Conversation", "Message", "TextPart", "ImagePart", "VideoPart", "Sampling"),
    *("Reply", "MediaRecord", "StreamEvent", "Responder", "Processor"),
    *("Box", "Point", "Size", "Resize", "Clock"),
    *("FinesightError", "ConfigError", "MediaError", "WeightsError"),
    *("smart_resize", "process_vision_info", "fetch_image", "fetch_video"),
    "__version__",
}
MODEL_VERBS = {
    *("ask", "locate", "answer", "respond", "stream", "encode", "logits", "score"),
    *("adapters", "defaults", "engine", "generation", "name", "network", "processor"),
}


def test_the_list_is_what_is_promised():
    assert set(finesight.__all__) == PROMISED


@pytest.mark.parametrize("name", sorted(PROMISED))
def test_each_name_is_there(name):
    assert getattr(finesight, name) is not None
    assert name in dir(finesight)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        finesight.laod  # noqa: B018  # the access is the test
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        api.laod  # noqa: B018  # the access is the test


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(finesight.__file__).read_text(encoding="utf-8"))
    (block,) = [
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    seen = {alias.asname for node in block.body for alias in node.names}
    assert seen == PROMISED - {"__version__"}


def test_the_model_has_its_verbs(tiny_model_folder):
    model = finesight.load(tiny_model_folder, device="cpu")
    assert {name for name in dir(model) if not name.startswith("_")} == MODEL_VERBS


def test_the_version_is_the_packages():
    assert finesight.__version__.count(".") == 2
