# SPDX-License-Identifier: Apache-2.0
"""A small Hugging Face hub: model information, the tree of files, and files by range, with faults on demand."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves one repository, `me/model`, at the revisions main and v1.

    Attributes:
        files: content by name; those of `large` are stored by SHA-256 (LFS), the others by git's SHA-1.
        cut_after: bytes after which the connection of a large file breaks; each break takes one entry.
        status: answer to every request; 200 is none.
        error_code: `X-Error-Code` of such an answer.
        ranges: (name, first byte) of each GET of a file.
        pause: set to let large files wait after `cut_after` bytes instead of breaking.
    """

    daemon_threads = True

    def __init__(self, files: dict[str, bytes], large: tuple[str, ...]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.large = files, large
        self.digests = {name: self._digest(name) for name in files}
        self.cut_after: list[int] = []
        self.status, self.error_code = 200, ""
        self.ranges: list[tuple[str, int]] = []
        self.paths: list[str] = []
        self.pause: threading.Event | None = None
        self.reached = threading.Event()

    def _digest(self, name: str) -> str:
        content = self.files[name]
        if name in self.large:
            return hashlib.sha256(content).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):  # the name is given
        self._answer(is_head=True)

    def do_GET(self):  # the name is given
        self._answer(is_head=False)

    def _answer(self, *, is_head: bool) -> None:
        hub, path = self.server, unquote(urlsplit(self.path).path)
        hub.paths.append(path)
        if hub.status != 200:
            self._send(hub.status, b"{}", {"X-Error-Code": hub.error_code}, is_head)
        elif path.startswith("/api/models/me/model/tree/"):
            self._send(200, json.dumps(self._tree()).encode(), {}, is_head)
        elif path in ("/api/models/me/model", "/api/models/me/model/revision/main") or path in (
            "/api/models/me/model/revision/v1",
            f"/api/models/me/model/revision/{COMMIT}",
        ):
            siblings = [{"rfilename": name} for name in hub.files]
            info = {"id": "me/model", "sha": COMMIT, "siblings": siblings, "tags": []}
            self._send(200, json.dumps(info).encode(), {}, is_head)
        elif path.startswith("/api/models/me/model/revision/"):
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, is_head)
        elif path.startswith("/me/model/resolve/"):
            self._file(path.split("/", 5)[5], is_head)
        else:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, is_head)

    def _tree(self) -> list[dict]:
        hub, found = self.server, []
        for name, content in hub.files.items():
            digest = hub.digests[name]
            entry = {"type": "file", "path": name, "size": len(content), "oid": digest}
            if name in hub.large:
                lfs = {"oid": digest, "size": len(content), "pointerSize": 130}
                entry |= {"oid": "0" * 40, "lfs": lfs}
            found.append(entry)
        return found

    def _file(self, name: str, is_head: bool) -> None:
        hub = self.server
        content = hub.files[name]
        start = 0
        if given := self.headers.get("Range"):
            start = int(given.removeprefix("bytes=").split("-")[0])
        if not is_head:
            hub.ranges.append((name, start))
        headers = {
            "X-Repo-Commit": COMMIT,
            "ETag": f'"{hub.digests[name]}"',
            "Accept-Ranges": "bytes",
        }
        if name in hub.large:
            headers |= {
                "X-Linked-Etag": f'"{hub.digests[name]}"',
                "X-Linked-Size": str(len(content)),
            }
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        part = content[start:]
        cut = hub.cut_after.pop(0) if hub.cut_after and name in hub.large and not is_head else None
        self._send(206 if start else 200, part, headers, is_head, cut)

    def _send(self, status, content, headers, is_head, cut=None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": len(content), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if is_head:
            return
        self.wfile.write(content[:cut])
        self.wfile.flush()
        if cut is not None:
            self.server.reached.set()
            if self.server.pause is not None:
                self.server.pause.wait(30)
            self.close_connection = True
            self.connection.close()

    def log_message(self, *args):
        del args


@contextmanager
def serving(folder: Path, large: tuple[str, ...] = ("model.safetensors", "tokenizer.json")):
    """A hub with the files of a folder."""
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    files["README.md"] = (
        b"---\nlicense: other\nlicense_name: qwen-research\nlicense_link: https://x/y\n---\n"
    )
    with Hub(files, large) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield running
        finally:
            running.shutdown()
            thread.join()
