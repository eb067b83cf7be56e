# SPDX-License-Identifier: Apache-2.0
"""Options that choose a screen: a web page, a desktop or a phone; shared by `agent` and `mcp`."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from finesight.errors import ConfigError, ScreenUnavailable

if TYPE_CHECKING:
    from finesight.geometry import Size
    from finesight.screen.environment import Screen


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenChoice:
    """Options that choose a screen."""

    browser: Annotated[
        str | None,
        typer.Option(help="Page to work on, in a browser of its own.", metavar="FILE|URL"),
    ] = None
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            help="Further origin that the page may load. Repeatable.",
            metavar="ORIGIN",
        ),
    ] = None
    desktop: Annotated[
        list[str] | None,
        typer.Option(
            help="Program to work on, with its arguments, on a desktop of its own. Repeatable.",
            metavar="COMMAND",
        ),
    ] = None
    display: Annotated[
        str | None, typer.Option(help="Running X11 display to work on.", metavar=":N")
    ] = None
    network: Annotated[
        bool, typer.Option("--network", help="Let the programs of --desktop use the network.")
    ] = False
    phone: Annotated[
        str | None,
        typer.Option(
            help="Phone to work on: a serial of `adb devices`, host:port, any for the only one, or practice for a"
            " simulated one.",
            metavar="SERIAL",
        ),
    ] = None
    app: Annotated[
        list[str] | None,
        typer.Option(
            help="Package of an app that the phone opens by name. Repeatable.",
            metavar="NAME=PACKAGE",
        ),
    ] = None
    window: Annotated[
        str, typer.Option(help="Size of the page in CSS pixels, or of the desktop.", metavar="WxH")
    ] = "1280x800"
    scale: Annotated[
        float, typer.Option(min=0.5, max=4, help="Screenshot pixels per CSS pixel.")
    ] = 1.0

    def check(self) -> None:
        """Raise `ConfigError` if no screen is given, or more than one, or an option has no effect."""
        kinds = {
            "--browser": self.browser is not None,
            "--desktop": bool(self.desktop),
            "--display": self.display is not None,
            "--phone": self.phone is not None,
        }
        given = [name for name, is_given in kinds.items() if is_given]
        if len(given) != 1:
            what = f"{' and '.join(given)} are given" if given else "there is no screen"
            raise ConfigError(what, hint=f"give one of {', '.join(kinds)}")
        self._check_used(given[0])

    def _check_used(self, kind: str) -> None:
        """Raise if an option is given that the chosen screen does not use."""
        is_practice = self.phone == "practice"
        uses = {
            "--allow-origin": (bool(self.allow_origin), kind == "--browser", "--browser"),
            "--network": (self.network, kind == "--desktop", "--desktop"),
            "--app": (bool(self.app), kind == "--phone" and not is_practice, "--phone SERIAL"),
            "--window": (
                self.window != "1280x800",
                kind in ("--browser", "--desktop"),
                "--browser or --desktop",
            ),
            "--scale": (
                self.scale != 1.0,
                kind == "--browser" or is_practice,
                "--browser or --phone practice",
            ),
        }
        chosen = f"{kind} practice" if is_practice else kind
        for name, (is_given, is_used, users) in uses.items():
            if is_given and not is_used:
                raise ConfigError(
                    f"{name} would have no effect with {chosen}",
                    hint=f"leave it out; it is for {users}",
                )

    def opened(self) -> Screen:
        """The screen; what it may do is printed.

        Raises:
            ConfigError: an option is wrong.
            ScreenUnavailable: it does not open.
        """
        screen = self._opened()
        facts = ", ".join(f"{name} {value}" for name, value in screen.facts.items())
        sys.stderr.write(f"{facts}\n")
        return screen

    def _opened(self) -> Screen:
        if self.browser is not None:
            from finesight.screen.web import WebScreen

            origins, size = self.allow_origin or [], self._size()
            _check_page(self.browser)
            return WebScreen(self.browser, size=size, scale=self.scale, origins=origins)
        if self.phone is not None:
            return self._phone(self.phone)
        from finesight.screen.desktop import Desktop as DesktopScreen

        programs = [shlex.split(words) for words in self.desktop or ()]
        return DesktopScreen(
            programs, size=self._size(), display=self.display, network=self.network
        )

    def _phone(self, name: str) -> Screen:
        from finesight.screen.phone import Phone

        if name == "practice":
            from finesight.screen.practice.phone import PracticeScreen

            return PracticeScreen(scale=self.scale)
        apps = dict(_pair(each) for each in self.app or ())
        return Phone(None if name == "any" else name, apps=apps)

    def _size(self) -> Size:
        from finesight.geometry import Size

        found = re.fullmatch(r"(\d+)x(\d+)", self.window)
        if found is None:
            raise ConfigError(f"--window is {self.window!r}", hint="write it as 1280x800")
        return Size(int(found[1]), int(found[2]))


def _check_page(page: str) -> None:
    is_url = urlsplit(page).scheme in ("http", "https", "file", "data", "about")
    if is_url or Path(page).is_file():
        return
    hint = "give the path of a page, or a URL such as https://example.com/"
    if Path(page).is_dir():
        raise ConfigError(f"--browser {page}: this file is a folder", hint=hint)
    raise ScreenUnavailable(f"--browser {page}: this file does not exist", hint=hint)


def _pair(text: str) -> tuple[str, str]:
    name, _, package = text.partition("=")
    if not name or not package:
        raise ConfigError(f"--app {text!r} names no package", hint="write it as NAME=PACKAGE")
    return name, package
