# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document is valid, and its bodies are those that the endpoints read."""

from __future__ import annotations

import jsonschema
import pytest

from finesight.remote.chat_request import FIELDS
from finesight.server import schema
from finesight.server.app import create_app
from finesight.server.models import Models, Offer
from finesight.server.settings import ServerSettings
from tests.support.serving import chat, picture_part, request

BODIES = ("CHAT", "COMPLETION", "EMBEDDING", "TOKENIZE", "DETOKENIZE")
PATHS = {
    "/v1/chat/completions": ("CHAT", "post"),
    "/v1/completions": ("COMPLETION", "post"),
    "/v1/embeddings": ("EMBEDDING", "post"),
    "/tokenize": ("TOKENIZE", "post"),
    "/detokenize": ("DETOKENIZE", "post"),
}


@pytest.fixture(scope="module")
def document():
    def load():
        raise AssertionError("a document needs no model")

    app = create_app(Models([Offer("a", load, 0)]), ServerSettings())
    return request(app, "GET", "/openapi.json").json()


@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_a_json_schema(name):
    jsonschema.Draft202012Validator.check_schema(getattr(schema, name))


def test_every_field_of_a_chat_request_is_described():
    assert set(schema.CHAT["properties"]) == {*FIELDS}


@pytest.mark.parametrize("path", PATHS)
def test_an_endpoint_has_its_body_and_its_errors(document, path):
    name, method = PATHS[path]
    found = document["paths"][path][method]
    assert found["requestBody"]["content"]["application/json"]["schema"] == getattr(schema, name)
    assert {"400", "401", "404", "408", "413", "429", "500", "503"} <= set(found["responses"])
    error = found["responses"]["400"]["content"]["application/json"]["schema"]
    jsonschema.validate({"error": {"message": "a", "type": "b", "code": "c", "param": None}}, error)
    assert found["description"]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("CHAT", chat("Hello", model="a", n=2, stop=["x"], seed=1)),
        ("CHAT", chat(picture_part("data:,a", max_pixels=784), "What is it?", stream=True)),
        ("COMPLETION", {"prompt": ["a", "b"], "max_tokens": 3}),
        ("COMPLETION", {"prompt": [[1, 2], [3]]}),
        ("EMBEDDING", {"input": "a", "encoding_format": "base64"}),
        ("TOKENIZE", {"prompt": "a"}),
        ("DETOKENIZE", {"tokens": [1, 2]}),
    ],
)
def test_usual_bodies_agree_with_it(name, body):
    jsonschema.validate(body, getattr(schema, name))


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("CHAT", {}),
        ("CHAT", {"messages": []}),
        ("CHAT", chat("a", temperature=-1)),
        ("CHAT", chat("a", n=0)),
        ("COMPLETION", {"prompt": 5}),
        ("DETOKENIZE", {"tokens": []}),
    ],
)
def test_wrong_bodies_do_not(name, body):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(body, getattr(schema, name))
