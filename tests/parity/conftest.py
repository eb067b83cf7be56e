# SPDX-License-Identifier: Apache-2.0
"""The reference: transformers and qwen-vl-utils, built here, nothing downloaded."""

from __future__ import annotations

import pytest

pytest.importorskip("transformers")


@pytest.fixture(scope="session")
def official_ranks():
    """Every token of the published vocabulary and its id."""
    pytest.importorskip("dashscope")
    from tests.support.qwen_vocabulary import official_ranks

    return official_ranks()


@pytest.fixture(scope="session")
def official_file(tmp_path_factory, official_ranks):
    """The published `tokenizer.json`, rebuilt."""
    from tests.support.qwen_vocabulary import official_backend

    path = tmp_path_factory.mktemp("official") / "tokenizer.json"
    official_backend(official_ranks).save(str(path), pretty=False)
    return path


@pytest.fixture(scope="session")
def reference(official_file):
    """The reference processor and position functions, see `tests.support.reference`."""
    from tests.support.reference import Reference

    return Reference(official_file)
