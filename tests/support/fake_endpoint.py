# SPDX-License-Identifier: Apache-2.0
"""A chat-completions server that plays a script: answers, limits, junk, broken connections."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def completion(text="four", reason="stop", **more):
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": reason}
    usage = {"prompt_tokens": 11, "completion_tokens": 2}
    return json.dumps({"choices": [choice], "usage": usage, **more}).encode()


class Server(ThreadingHTTPServer):
    """Plays a script: each entry is what becomes of one request; the last one stays."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = [(200, completion(), {})]
        self.requests = []
        self.num_connections = 0
        self.released = threading.Event()
        self.turn = threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    """Keeps a connection open as long as its answers are whole."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        with self.server.turn:
            self.server.num_connections += 1

    def do_POST(self):  # the name is given
        length = int(self.headers["Content-Length"])
        body = json.loads(self.rfile.read(length))
        with self.server.turn:  # several requests at once take one step each
            self.server.requests.append((self.path, dict(self.headers), body))
            step = self.server.script[0]
            if len(self.server.script) > 1:
                self.server.script.pop(0)
        if step == "hang up":
            self.close_connection = True
            self.connection.close()
            return
        if step == "wait":
            self.server.released.wait(5)
            self.close_connection = True
            return
        status, content, headers = step
        self.close_connection |= "Content-Length" in headers  # a length that may be a lie
        self.send_response(status)
        for name, value in {"Content-Length": len(content), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        del args


@contextmanager
def serving():
    """A running server; it ends with the block."""
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield running
        finally:
            running.released.set()
            running.shutdown()
            thread.join()
