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
        *("max_requests", "max_live", "requests_per_minute", "drain_seconds"),
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


@pytest.mark.parametrize(
    "host", ["example.com", ".example.com", "*", "10.0.0.1", "::1", "localhost"]
)
def test_hosts_that_can_be_fetched_from(host):
    ServerSettings(hosts=(host,)).check()


@pytest.mark.parametrize(
    "host", ["", "http://example.com", "*.example.com", "example.com/path", "example.com:80", "a b"]
)
def test_a_host_that_could_match_nothing_is_an_error(host):
    with pytest.raises(ConfigError, match="is no host"):
        ServerSettings(hosts=(host,)).check()


def test_an_origin_has_a_scheme():
    ServerSettings(origins=("https://app.example.com", "http://localhost:3000")).check()
    for origin in ("app.example.com", "https://app.example.com/page", ""):
        with pytest.raises(ConfigError, match="is no origin"):
            ServerSettings(origins=(origin,)).check()


def test_a_server_name_is_the_name_of_a_host():
    ServerSettings(server_names=("example.com", ".example.com")).check()
    for name in ("https://example.com", "example.com:80", ""):
        with pytest.raises(ConfigError, match="is no host name"):
            ServerSettings(server_names=(name,)).check()
