# SPDX-License-Identifier: Apache-2.0
"""A shop, a mailbox and pages that misbehave, on a server that remembers what was done to it."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

HEAD = """<!doctype html><meta charset="utf-8"><style>
body { font: 16px sans-serif; margin: 12px; background: white; } form, p { margin: 6px 0; }
button, input, a.action, [role=button] { font: inherit; padding: 4px 10px; margin: 3px; display: inline-block; }
[role=button] { border: 1px solid #888; cursor: pointer; } .message { border: 1px solid #ccc; padding: 8px; }
</style>"""

SHOP = """<h1>Lamp shop</h1>
<form action="/shop" method="get"><input name="q" aria-label="Search lamps" value="{query}">
<button>Search</button></form>
<p>{found}</p>
<button type="button" onclick="fetch('/cart').then(() => count.textContent = 'In the cart: 1')">Add to cart</button>
<span id="count">In the cart: 0</span> <a class="action" href="/checkout">Go to the counter</a>"""

CHECKOUT = """<h1>Counter</h1>
<form action="/order" method="post"><label>Street <input name="street"></label>
<label>Card <input name="card" autocomplete="cc-number"></label><button>Place order</button></form>
<a class="action" href="/shop">Continue shopping</a>"""

ACCOUNT = """<h1>Account</h1>
<form action="/login" method="post"><label>Password <input type="password" name="password"></label>
<button>Enter</button></form>
<form action="/comment" method="post"><label>Comment <input name="comment"></label><button>Leave it</button></form>"""

MAIL = """<h1>Mail</h1><div class="message">{text}</div>
<button type="button" onclick="this.textContent = 'Read'">Mark as read</button>
<form action="/send" method="post"><label>To <input name="to"></label><label>Text <input name="text"></label>
<button>Send</button></form>
<button type="button" onclick="fetch('/delete', {{method: 'POST'}}).then(() => location.reload())">Delete</button>"""

DEAD = """<h1>Dead</h1><style>button:hover {{ background: gold }}</style><button type="button">Go</button>
<button type="button" style="position: absolute; left: 40px; top: 200px"
onclick="this.textContent = 'Went'">Real</button>"""

LATE = """<h1>Late</h1><a class="action" href="/slow">Open the late page</a>"""

MOVING = """<h1>Moving</h1><button type="button" id="it" style="position: absolute; left: 20px; top: 80px"
onmouseover="this.style.left = '400px'">Prize</button>
<form action="/order" method="post" style="position: absolute; left: 10px; top: 70px; z-index: -1">
<button>Buy it all</button></form>"""

MODAL = """<h1>Modal</h1><button type="button" onclick="document.querySelector('dialog').showModal()">Options</button>
<dialog><p>Delete all 12 files?</p>
<button type="button" onclick="fetch('/delete', {{method: 'POST'}})">OK</button>
<button type="button" onclick="this.closest('dialog').close()">Cancel</button></dialog>
<button type="button" onclick="confirm('Really?')">Ask</button>"""

PAGES = {
    "/checkout": CHECKOUT,
    "/account": ACCOUNT,
    "/dead": DEAD,
    "/late": LATE,
    "/moving": MOVING,
    "/modal": MODAL,
}


class Site(ThreadingHTTPServer):
    """The server; `state` is what a visitor has changed, `requests` all it was asked for.

    Args:
        mail: text of the message, as HTML.
    """

    daemon_threads = True

    def __init__(self, mail: str = "Hello Ada, the meeting is at four.") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.mail = mail
        self.state: dict[str, list] = {
            "orders": [],
            "sent": [],
            "deleted": [],
            "logins": [],
            "comments": [],
        }
        self.requests: list[str] = []
        self.pages = dict(PAGES)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def digest(self) -> str:
        """The state as text, to compare."""
        return json.dumps(self.state, sort_keys=True)


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.server.requests.append(self.path)
        if parts.path == "/slow":
            time.sleep(3)
        if parts.path == "/shop":
            query = parse_qs(parts.query).get("q", [""])[0]
            found = (
                f"1 lamp found for {escape(query)}: Lumen 3" if query else "Type what you look for."
            )
            self._show(SHOP.format(query=escape(query), found=found))
        elif parts.path == "/mail":
            self._show(MAIL.format(text=self.server.mail))
        elif parts.path == "/out":
            self.send_response(302)
            self.send_header("Location", parts.query)
            self.end_headers()
        else:
            page = self.server.pages.get(parts.path, f"<h1>{escape(parts.path[1:])}</h1>")
            self._show(page.format() if page in PAGES.values() else page)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self.server.requests.append(f"{self.path} {body}")
        kept = {
            "/order": "orders",
            "/send": "sent",
            "/delete": "deleted",
            "/login": "logins",
            "/comment": "comments",
        }
        self.server.state[kept[self.path]].append(parse_qs(body))
        self._show("<h1>Done</h1><p>Thank you.</p>")

    def _show(self, body: str) -> None:
        content = f"{HEAD}{body}".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def site(**options):
    """A running site; it ends with the block."""
    with Site(**options) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield running
        finally:
            running.shutdown()
            thread.join()
