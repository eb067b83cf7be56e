# SPDX-License-Identifier: Apache-2.0
"""Desktops and phones for tests, and the lines that skip a test where their programs are missing."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
from contextlib import contextmanager, suppress

import pytest

from finesight.errors import ScreenUnavailable
from finesight.screen.display import NEEDED, SYSTEM_PYTHON, check_programs
from finesight.screen.phone import Phone
from finesight.screen.practice.phone import PracticePhone
from tests.support.pages import why_no_browser

PROGRAMS = ("galculator", "mousepad", "xev")


def why_no_desktop() -> str:
    """Empty where a desktop with programs can be started."""
    try:
        check_programs((*NEEDED, *PROGRAMS))
    except ScreenUnavailable as error:
        return f"{error.message}: make setup-screens, scripts/install-system-packages.sh test"
    probe = "import gi; gi.require_version('Atspi', '2.0')"
    if subprocess.run([SYSTEM_PYTHON, "-c", probe], capture_output=True).returncode:
        return f"{SYSTEM_PYTHON} has no bindings of AT-SPI: make setup-screens"
    sandbox = ["bwrap", "--ro-bind", "/", "/", "--unshare-net", "--unshare-user", "true"]
    if subprocess.run(sandbox, capture_output=True).returncode:
        return "bubblewrap is not allowed here"
    return ""


def why_no_phone() -> str:
    """Empty where the practice phone can be reached through adb."""
    if importlib.util.find_spec("adbutils") is None:
        return "adbutils is not installed: make setup-screens"
    return why_no_browser()


needs_desktop = pytest.mark.skipif(bool(why_no_desktop()), reason=why_no_desktop())
needs_phone = pytest.mark.skipif(bool(why_no_phone()), reason=why_no_phone())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextmanager
def adb_server():
    """Port of an adb server of its own."""
    from adbutils import adb_path

    port = free_port()
    try:
        yield port
    finally:
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                [adb_path(), "-P", str(port), "kill-server"], capture_output=True, timeout=20
            )


@contextmanager
def practice_phone(*, scale=1.0, has_keyboard=False):
    """A practice phone, and the same phone as a screen."""
    with adb_server() as port, PracticePhone(scale=scale, has_keyboard=has_keyboard) as practice:
        phone = Phone(practice.address, port=port)
        try:
            yield practice, phone
        finally:
            phone.close()


def has_program(name: str) -> bool:
    return shutil.which(name) is not None
