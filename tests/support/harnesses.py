# SPDX-License-Identifier: Apache-2.0
"""Base classes of the shape of lmms-eval 0.7.3 and ms-vlmeval 0.0.20, put where the real ones would be."""

from __future__ import annotations

import abc
import sys
from dataclasses import dataclass, field
from types import ModuleType


class Hook:
    def __init__(self):
        self.kept = []

    def add_partial(self, attr, req, res):
        self.kept.append((attr, req, res))


class Lmms(abc.ABC):
    """`lmms_eval.api.model.lmms`."""

    is_simple = True

    def __init__(self):
        self._rank = 0
        self._world_size = 1
        self.cache_hook = Hook()
        self.task_dict = {}

    @abc.abstractmethod
    def loglikelihood(self, requests): ...

    @abc.abstractmethod
    def generate_until(self, requests): ...

    @abc.abstractmethod
    def generate_until_multi_round(self, requests): ...

    @classmethod
    def create_from_arg_string(cls, arg_string, additional_config=None):
        pairs = (each.split("=", 1) for each in arg_string.split(",") if each)
        read = {name: int(value) if value.isnumeric() else value for name, value in pairs}
        more = {k: v for k, v in (additional_config or {}).items() if v is not None}
        return cls(**read, **more)

    @property
    def rank(self):
        return self._rank


@dataclass
class TokenCounts:
    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None


@dataclass
class GenerationResult:
    text: str
    token_counts: TokenCounts | None = None


@dataclass
class Instance:
    request_type: str
    arguments: tuple
    idx: int = 0
    task_name: str | None = None
    metadata: dict = field(default_factory=dict)

    @property
    def args(self):
        return self.arguments


@dataclass(frozen=True)
class ModelManifest:
    model_id: str
    simple_class_path: str | None = None
    chat_class_path: str | None = None
    aliases: tuple = ()


class BaseModel:
    """`vlmeval.vlm.base.BaseModel`: what `generate` and `chat` check before they ask."""

    INTERLEAVE = False
    allowed_types = ("text", "image", "video")

    def __init__(self):
        self.dump_image_func = None

    def use_custom_prompt(self, dataset):
        return False

    def set_dump_image(self, dump_image_func):
        self.dump_image_func = dump_image_func

    def generate_inner(self, message, dataset=None):
        raise NotImplementedError

    def generate(self, message, dataset=None):
        if isinstance(message, str):
            message = [{"type": "text", "value": message}]
        assert all(each["type"] in self.allowed_types for each in message)
        return self.generate_inner(message, dataset)

    def chat(self, messages, dataset=None):
        return self.chat_inner(messages, dataset=dataset)


PLACES = {
    "lmms_eval.api.model": {"lmms": Lmms},
    "lmms_eval.api.instance": {
        "Instance": Instance,
        "GenerationResult": GenerationResult,
        "TokenCounts": TokenCounts,
    },
    "lmms_eval.models.registry_v2": {"ModelManifest": ModelManifest},
    "vlmeval.vlm.base": {"BaseModel": BaseModel},
    "vlmeval.config": {"supported_VLM": {}},
}


def pretend_installed(monkeypatch):
    """Modules of both harnesses, for one test."""
    for name, values in PLACES.items():
        parts = name.split(".")
        for end in range(1, len(parts)):
            package = ".".join(parts[:end])
            monkeypatch.setitem(sys.modules, package, ModuleType(package))
        module = ModuleType(name)
        vars(module).update(
            {key: dict(v) if isinstance(v, dict) else v for key, v in values.items()}
        )
        monkeypatch.setitem(sys.modules, name, module)
