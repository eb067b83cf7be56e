# SPDX-License-Identifier: Apache-2.0
"""Tasks on web applications that others wrote: TodoMVC in six frameworks, and pages of the dashboard gentelella.

`is_done` reads the page by JavaScript. The applications are served from the folders that scripts/fetch_real_data.py
writes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from finesight.screen.web import WebScreen
from tests.support.screen_tasks import ScreenTask

SITES = {"todomvc": "examples", "gentelella": "dist"}
"""Folder of real data, and the root of its addresses below it."""


@dataclass(frozen=True, kw_only=True)
class WebTask(ScreenTask):
    """A task on a page.

    Attributes:
        page: its address below the site.
        site: folder of real data.
    """

    page: str = ""
    site: str = "gentelella"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(real: Path, site: str):
    """The origin of a site that is served on loopback."""
    handler = partial(_Quiet, directory=real / site / SITES[site])
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def holds(script: str) -> Callable[[WebScreen], bool]:
    """Whether a JavaScript expression is true on the page."""
    return lambda screen: screen.browser.evaluate(script) is True


_LIST = """(() => JSON.stringify([...document.querySelectorAll("#todo-list li")]
  .filter((item) => item.getClientRects().length)
  .map((item) => (item.classList.contains("completed") ? "x " : "- ") + item.querySelector("label").textContent.trim())
))()"""


def todos(*wanted: str) -> Callable[[WebScreen], bool]:
    """Whether the visible items are these, each after "x " if it is completed, else after "- "."""
    return lambda screen: screen.browser.evaluate(_LIST) == _json(wanted)


def _json(items: tuple[str, ...]) -> str:
    return "[" + ",".join(f'"{item}"' for item in items) + "]"


def _add(*items: str) -> tuple[str, ...]:
    return tuple(step for item in items for step in (f"type {item}", "key Enter"))


def _todo(framework: str, goal: str, solution, is_done, start=()) -> WebTask:
    return WebTask(goal, solution, is_done, start, page=f"{framework}/index.html", site="todomvc")


TWO = _add("milk", "eggs")
TODO_TASKS = (
    _todo("vanillajs", "Add buy milk.", _add("buy milk"), todos("- buy milk")),
    _todo("react", "Add milk and eggs.", TWO, todos("- milk", "- eggs")),
    _todo("backbone", "Mark milk as done.", ("beside -40 milk",), todos("x milk", "- eggs"), TWO),
    _todo("vue", "Delete milk.", ("hover milk", "beside 458 milk"), todos("- eggs"), TWO),
    _todo(
        "knockoutjs",
        "Change milk to oat milk.",
        ("twice milk", "key ctrl a", "type oat milk", "key Enter"),
        todos("- oat milk", "- eggs"),
        TWO,
    ),
    _todo(
        "angularjs",
        "Mark all as done.",
        ("at 387 180",),
        todos("x milk", "x eggs"),
        TWO,
    ),
    _todo(
        "vanillajs",
        "Remove what is done.",
        ("click Clear completed (1)",),
        todos("- eggs"),
        (*TWO, "beside -40 milk"),
    ),
    _todo(
        "react", "Show what is left.", ("click Active",), todos("- eggs"), (*TWO, "beside -40 milk")
    ),
    _todo(
        "backbone",
        "Show what is done.",
        ("click Completed",),
        todos("x milk"),
        (*TWO, "beside -40 milk"),
    ),
    _todo(
        "vue",
        "Milk is not done after all.",
        ("beside -40 milk",),
        todos("- milk", "- eggs"),
        (*TWO, "beside -40 milk"),
    ),
)


def _field(name: str, value: str) -> Callable[[WebScreen], bool]:
    def is_filled(screen: WebScreen) -> bool:
        found = [one for one in screen.elements() if one.name == name]
        return any(one.value == value for one in found)

    return is_filled


VISIBLE_CARDS = (
    "[...document.querySelectorAll('article')].filter((one) => one.getClientRects().length)"
)


def both(*checks: Callable[[WebScreen], bool]) -> Callable[[WebScreen], bool]:
    return lambda screen: all(check(screen) for check in checks)


DASHBOARD_TASKS = (
    WebTask(
        "Go to the Kanban board.",
        ("click Kanban",),
        holds("location.pathname.endsWith('kanban.html')"),
        page="production/settings.html",
    ),
    WebTask(
        "Change the full name to Ada Lovelace.",
        ("click Full name", "key ctrl a", "type Ada Lovelace"),
        _field("Full name", "Ada Lovelace"),
        page="production/settings.html",
    ),
    WebTask(
        "Change the address to ada@example.org.",
        ("click Email address", "key ctrl a", "type ada@example.org"),
        _field("Email address", "ada@example.org"),
        page="production/settings.html",
    ),
    WebTask(
        "Use the dark theme.",
        ("click Toggle theme",),
        holds("document.documentElement.dataset.theme === 'dark'"),
        page="production/settings.html",
    ),
    WebTask(
        "Find the card about the design.",
        ("click Filter cards", "type design"),
        holds(f"{VISIBLE_CARDS}.length === 1"),
        page="production/kanban.html",
    ),
    WebTask(
        "Change the role to Editor.",
        ("click Role", "key ctrl a", "type Editor"),
        _field("Role", "Editor"),
        page="production/settings.html",
    ),
    WebTask(
        "Do not remember me.",
        ("click Remember me",),
        holds("document.querySelector('input[type=checkbox]').checked === false"),
        page="production/login.html",
    ),
    WebTask(
        "Fill in ada@example.org and the password lovelace, and do not sign in yet.",
        ("click Email", "type ada@example.org", "click Password", "type lovelace"),
        both(
            holds("document.querySelector('input[type=email]').value === 'ada@example.org'"),
            holds("document.querySelector('input[type=password]').value === 'lovelace'"),
        ),
        page="production/login.html",
    ),
    WebTask(
        "I forgot the password.",
        ("click Forgot password?",),
        holds("location.pathname.endsWith('forgot_password.html')"),
        page="production/login.html",
    ),
    WebTask(
        "The new user is Ada Lovelace.",
        ("click First name", "type Ada", "click Last name", "type Lovelace"),
        both(_field("First name", "Ada"), _field("Last name", "Lovelace")),
        page="production/form_wizards.html",
    ),
)
WEB_TASKS = (*TODO_TASKS, *DASHBOARD_TASKS)
