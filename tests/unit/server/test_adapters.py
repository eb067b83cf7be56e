# SPDX-License-Identifier: Apache-2.0
"""Each adapter is a model of the server, on the network of its base."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

import finesight
from finesight.server.app import create_app
from finesight.server.models import Models, Offer, Served, adapter_offers
from finesight.server.settings import ServerSettings
from tests.support.adapter_folders import write_adapter

BODY = {"messages": [{"role": "user", "content": "What is this?"}], "max_tokens": 6}


@pytest.fixture(scope="module")
def client(tiny_model_folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("adapters")
    folders = {name: write_adapter(tiny_model_folder, root / name, seed=7) for name in ("a",)}
    folders["b"] = write_adapter(tiny_model_folder, root / "b", seed=8)
    loads = []

    def load():
        loads.append(1)
        model = finesight.load(tiny_model_folder, adapters=folders)
        return Served("base", model.engine, model.defaults)

    base = Offer("base", load, num_bytes=1)
    models = Models([base, *adapter_offers(base, folders)], free_bytes=lambda: 10**12)
    with TestClient(create_app(models, ServerSettings())) as found:
        found.loads, found.models = loads, models
        yield found


def answer(client, model, **more):
    reply = client.post("/v1/chat/completions", json={**BODY, "model": model, **more})
    assert reply.status_code == 200, reply.text
    assert reply.json()["model"] == model
    return reply.json()["choices"][0]["message"]["content"]


def test_each_name_answers_with_its_adapter(client):
    texts = [answer(client, name) for name in ("a", "base", "b")]
    assert len(set(texts)) == 3
    assert [answer(client, name) for name in ("a", "base", "b")] == texts
    assert client.loads == [1]
    assert [each.name for each in client.models.loaded()] == ["base"]


def test_the_list_of_models(client):
    answer(client, "a")
    listed = client.get("/v1/models").json()["data"]
    assert [(each["id"], each.get("parent")) for each in listed] == [
        ("base", None),
        ("a", "base"),
        ("b", "base"),
    ]
    assert len({each["max_model_len"] for each in listed}) == 1
    assert client.get("/v1/models/b").json()["id"] == "b"


def test_text_completions_and_embeddings(client):
    prompts = {"prompt": "What", "max_tokens": 5}
    texts, vectors = set(), set()
    for name in ("base", "a", "b"):
        reply = client.post("/v1/completions", json={**prompts, "model": name})
        texts.add(reply.json()["choices"][0]["text"])
        reply = client.post("/v1/embeddings", json={"input": "What", "model": name})
        vectors.add(tuple(reply.json()["data"][0]["embedding"]))
    assert len(texts) == len(vectors) == 3


def test_an_unknown_adapter_is_an_unknown_model(client):
    reply = client.post("/v1/chat/completions", json={**BODY, "model": "c"})
    assert reply.status_code == 404
    assert "this server has base, a, b" in reply.json()["error"]["message"]
