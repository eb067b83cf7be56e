# SPDX-License-Identifier: Apache-2.0
"""Who answers is built as the command line says, and says of itself what a score depends on."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from finesight.cli.eval_answerer import EndpointOptions, LocalOptions, answerer_of, only_one
from finesight.cli.eval_benchmark import copy_of
from finesight.cli.eval_options import read_shard
from finesight.conversation import ImagePart
from finesight.errors import ConfigError
from finesight.geometry import Size
from tests.support.toy_eval import TOY

ENDPOINT = {
    "endpoint": "http://user:word@host:8000/v1",
    "endpoint_model": "m",
    "api_key": "secret",
    "space": "original",
}


def answerer(replay=None, space=None, cache=None, **options):
    local, remote = (
        kind(
            **{
                name: value
                for name, value in options.items()
                if name in {each.name for each in fields(kind)}
            }
        )
        for kind in (LocalOptions, EndpointOptions)
    )
    return answerer_of(local, remote, replay, space=space, cache=cache)


def endpoint(**changes):
    return answerer(**{**ENDPOINT, **changes})


def test_a_batch_is_decoded_together_and_named(tiny_model_folder):
    alone = answerer(model=str(tiny_model_folder)).responder()
    together = answerer(model=str(tiny_model_folder), batch=4).responder()
    assert (alone.responder.options.max_sequences, together.responder.options.max_sequences) == (
        1,
        4,
    )
    assert together.name == alone.name.replace(")", ", 4 together)")


def test_a_rounded_tower_is_named(tiny_model_folder):
    alone = answerer(model=str(tiny_model_folder)).responder()
    with pytest.warns(UserWarning, match="the vision tower is rounded to int8"):
        rounded = answerer(model=str(tiny_model_folder), vision_weights="int8").responder()
    assert rounded.name == alone.name.replace(")", ", int8 vision)")
    with pytest.raises(ConfigError, match="vision_weights"):
        answerer(model=str(tiny_model_folder), vision_weights="int3").responder()


def test_an_endpoint_gets_files_as_they_are(capsys):
    who = endpoint(workers=4)
    responder = who.responder()
    assert (who.space, responder.declares_resize) == ("original", False)
    assert responder.name == "m at http://host:8000/v1 (pictures as they are)"
    assert "the endpoint decides" in capsys.readouterr().err


def test_resized_pixels_of_an_endpoint_are_known_because_we_resize(tmp_path):
    model = endpoint(space="resized", cache=tmp_path).responder()
    assert (model.cache, model.declares_resize) == (tmp_path, True)
    fit = model.responder.inner.fit
    assert fit(Size(1000, 500), ImagePart(source=b"", max_pixels=100 * 784)) == Size(392, 196)


def test_sizes_of_stored_answers_in_resized_pixels_are_computed(tmp_path, capsys):
    stored = tmp_path / "outputs.jsonl"
    stored.write_text('{"id": "q1", "text": "2"}\n')
    for space in ("resized", "original"):
        responder = answerer(replay=stored, space=space).responder()
        assert responder.declares_resize is (space == "resized")
        assert ("--max-pixels" in capsys.readouterr().err) is (space == "resized")
    stored.write_text('{"doc_id": 0, "filtered_resps": "2"}\n')
    responder = answerer(replay=stored, space="resized").responder()
    assert responder.declares_resize


def test_what_is_missing_is_said():
    with pytest.raises(ConfigError, match="needs --space"):
        endpoint(space=None)
    with pytest.raises(ConfigError, match="needs --endpoint-model"):
        endpoint(endpoint_model=None).responder()
    assert only_one({"model": None, "endpoint": None}) == "model"
    with pytest.raises(ConfigError, match="both --endpoint and --replay"):
        only_one({"model": None, "endpoint": "x", "replay": "y"})


def test_shards_and_copies(tmp_path):
    assert read_shard("3/8") == (3, 8)
    assert copy_of(TOY, tmp_path, 1) == tmp_path
    (tmp_path / "toy").mkdir()
    assert copy_of(TOY, tmp_path, 1) == copy_of(TOY, tmp_path, 2) == tmp_path / "toy"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"endpoint_model": "m"}, "--endpoint-model m is for endpoints, not for --model"),
        ({"model": "tiny", "workers": 4}, "--workers 4 is for endpoints"),
        ({**ENDPOINT, "device": "cuda"}, "--device cuda is for local models"),
        ({**ENDPOINT, "batch": 8}, "--batch 8 is for local models, not for --endpoint"),
        ({"replay": Path("a"), "space": "original", "dtype": "float16"}, "--dtype float16 is for"),
        ({"replay": Path("a"), "space": "original", "cache": Path("c")}, "--cache c is for models"),
    ],
)
def test_an_option_of_another_answerer_is_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        answerer(**options)
