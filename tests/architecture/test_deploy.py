# SPDX-License-Identifier: Apache-2.0
"""Files in `deploy/` name files and options that exist; no container is built here."""

from __future__ import annotations

import re

import pytest
import yaml

from finesight.cli.main import frozen_help
from tests.architecture.source import ROOT

DEPLOY = ROOT / "deploy"
SERVE_OPTIONS = set(re.findall(r"--[a-z-]+", frozen_help(["serve", "--help"]) or ""))


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.cuda"])
def test_copied_files_exist(name):
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / name).read_text(), re.MULTILINE)
    assert copied
    for path in " ".join(copied).split():
        assert (ROOT / path).exists(), path


def test_commands_have_options_of_serve():
    assert "--port" in SERVE_OPTIONS
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["finesight"]
    given = [word for word in compose["command"] if word.startswith("--")]
    (started,) = re.findall(r"^ExecStart=(.+)$", (DEPLOY / "finesight.service").read_text(), re.M)
    given += re.findall(r"--[a-z-]+", started)
    for name in ("Dockerfile", "Dockerfile.cuda"):
        (command,) = re.findall(r"^CMD (.+)$", (DEPLOY / name).read_text(), re.M)
        given += re.findall(r"--[a-z-]+", command)
    assert set(given) <= SERVE_OPTIONS


def test_compose_names_files_of_this_folder():
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    build = services["finesight"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()
    mounted = services["prometheus"]["volumes"][0].split(":")[0]
    targets = yaml.safe_load((DEPLOY / mounted).read_text())["scrape_configs"][0]["static_configs"]
    assert targets[0]["targets"] == ["finesight:8000"]
