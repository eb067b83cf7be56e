# SPDX-License-Identifier: Apache-2.0
"""Who answers is built as the command line says, and says of itself what a score depends on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from finesight.cli.eval_answerer import Answerer, only_one, responder_of
from finesight.cli.eval_options import read_shard
from finesight.cli.eval_run import copy_of
from finesight.conversation import ImagePart
from finesight.errors import ConfigError
from finesight.evals.responders.cache import Cached
from finesight.geometry import Size
from tests.support.toy_eval import TOY

ENDPOINT = Answerer(
    kind="endpoint",
    model="tiny",
    device="auto",
    dtype=None,
    endpoint="http://user:word@host:8000/v1",
    endpoint_model="m",
    api_key="secret",
    replay=Path(),
    space="original",
    cache=None,
)


def test_an_endpoint_gets_files_as_they_are(capsys):
    responder, space = responder_of(ENDPOINT, workers=4)
    assert (space, responder.declares_resize) == ("original", False)
    assert responder.name == "m at http://host:8000/v1 (pictures as they are)"
    assert "the endpoint decides" in capsys.readouterr().err


def test_resized_pixels_of_an_endpoint_are_known_because_we_resize(tmp_path):
    who = replace(ENDPOINT, space="resized", cache=tmp_path)
    cached, _ = responder_of(who, workers=1)
    assert isinstance(cached, Cached)
    assert cached.declares_resize
    fit = cached.inner.responder.fit
    assert fit(Size(1000, 500), ImagePart(source=b"", max_pixels=100 * 784)) == Size(392, 196)


def test_sizes_of_stored_answers_in_resized_pixels_are_computed(tmp_path, capsys):
    stored = tmp_path / "outputs.jsonl"
    stored.write_text('{"id": "q1", "text": "2"}\n')
    for space in ("resized", "original"):
        who = replace(ENDPOINT, kind="replay", endpoint_model=None, replay=stored, space=space)
        responder, _ = responder_of(who, workers=1)
        assert responder.declares_resize is (space == "resized")
        assert ("--max-pixels" in capsys.readouterr().err) is (space == "resized")
    stored.write_text('{"doc_id": 0, "filtered_resps": "2"}\n')
    responder, _ = responder_of(replace(who, space="resized"), workers=1)
    assert responder.declares_resize


def test_what_is_missing_is_said():
    with pytest.raises(ConfigError, match="needs --space"):
        responder_of(replace(ENDPOINT, space=None), workers=1)
    with pytest.raises(ConfigError, match="needs --endpoint-model"):
        responder_of(replace(ENDPOINT, endpoint_model=None), workers=1)
    assert only_one({"model": None, "endpoint": None}) == "model"
    with pytest.raises(ConfigError, match="both --endpoint and --replay"):
        only_one({"model": None, "endpoint": "x", "replay": "y"})


def test_shards_and_copies(tmp_path):
    assert read_shard("3/8") == (3, 8)
    assert copy_of(TOY, tmp_path, 1) == tmp_path
    (tmp_path / "toy").mkdir()
    assert copy_of(TOY, tmp_path, 1) == copy_of(TOY, tmp_path, 2) == tmp_path / "toy"


@pytest.mark.parametrize(
    ("kind", "changes", "workers", "said"),
    [
        ("model", {}, 1, "--endpoint-model m is for endpoints, and --model answers"),
        ("model", {"endpoint_model": None}, 4, "--workers 4 is for endpoints"),
        ("endpoint", {"device": "cuda"}, 1, "--device cuda is for models here"),
        (
            "replay",
            {"endpoint_model": None, "dtype": "float16"},
            1,
            "--dtype float16 is for models",
        ),
    ],
)
def test_an_option_of_another_answerer_is_refused(kind, changes, workers, said):
    with pytest.raises(ConfigError, match=said):
        responder_of(replace(ENDPOINT, kind=kind, **changes), workers=workers)
