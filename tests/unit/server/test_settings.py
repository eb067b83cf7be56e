# SPDX-License-Identifier: Apache-2.0
"""Limits of a server are above 0, and its folders exist."""

from __future__ import annotations

import math

import pytest

from finesight.errors import ConfigError
from finesight.server.settings import ServerSettings


def test_defaults_are_usable():
    ServerSettings().check()


@pytest.mark.parametrize(
    "name",
    [
        *("max_body_mb", "max_bodies_mb", "body_seconds", "answer_seconds"),
        *("max_requests", "requests_per_minute", "drain_seconds"),
    ],
)
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_a_limit_is_a_number_above_0(name, value):
    with pytest.raises(ConfigError, match=f"{name} is {value}; it must be a number above 0"):
        ServerSettings(**{name: value}).check()


def test_a_folder_has_to_be_there(tmp_path):
    ServerSettings(folders=(tmp_path,)).check()
    with pytest.raises(ConfigError, match="absent is not a folder"):
        ServerSettings(folders=(tmp_path, tmp_path / "absent")).check()
