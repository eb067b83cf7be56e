# SPDX-License-Identifier: Apache-2.0
"""No request makes the server open a file outside of its folders, or an address that is not public."""

from __future__ import annotations

import http.server
import shutil
import socket
import threading

import httpcore
import pytest

from tests.support.attacks import ADDRESSES, PLAYLISTS, data_of, film_that_points_to, parts_of
from tests.support.serving import app_of, chat, data_address, picture_part, post, tiny_served

CHAT = "/v1/chat/completions"
PUBLIC = "93.184.215.14"


class _Handler(http.server.BaseHTTPRequestHandler):
    """Gives a picture at any path, but at some paths of the public host a redirect."""

    def do_GET(self):
        self.server.seen.append(self.path)
        name, _, target = self.path.lstrip("/").partition("?")
        targets = {"to": target, "again": "http://rebind.test/secret", "around": "/around"}
        place = targets.get(name) if self.server.redirects else None
        self.send_response(302 if place is not None else 200)
        if place is not None:
            self.send_header("Location", place)
        self.end_headers()
        self.wfile.write(self.server.picture)

    def log_message(self, *_):
        return


def _serve(picture, *, redirects):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.seen, server.picture, server.redirects = [], picture, redirects
    threading.Thread(target=server.serve_forever, args=(0.01,)).start()
    return server


class _Public(httpcore.NetworkStream):
    """A connection to the public host of the test, which is in truth on this machine."""

    def __init__(self, inner):
        self._inner = inner
        self.read, self.write, self.close = inner.read, inner.write, inner.close
        self.start_tls = inner.start_tls

    def get_extra_info(self, info):
        return (PUBLIC, 80) if info == "server_addr" else self._inner.get_extra_info(info)


class Places:
    """Files, hosts and connections of the attacks.

    Attributes:
        names: what `{...}` stands for in an attack.
        canary: the server on 127.0.0.1 that must not be asked.
        public: the server that stands for all public hosts.
        connections: addresses to which a connection was made.
    """

    def __init__(self, folder, picture_file, video_file):
        self.folder, self.allowed = folder, folder / "allowed"
        (self.allowed / "sub").mkdir(parents=True)
        (folder / "allowed-too").mkdir()
        for name in ("secret.png", "000.png", "allowed-too/secret.png", "allowed/good.png"):
            shutil.copy(picture_file, folder / name)
        shutil.copy(video_file, folder / "secret.mp4")
        (self.allowed / "link.png").symlink_to(folder / "secret.png")
        (self.allowed / "folder").symlink_to(folder)
        picture = picture_file.read_bytes()
        self.canary = _serve(picture, redirects=False)
        self.public = _serve(picture, redirects=True)
        self.connections = []
        self.names = {
            "port": self.canary.server_port,
            "secret": folder / "secret.png",
            "film": folder / "secret.mp4",
            "allowed": self.allowed,
        }

    def filled(self, text):
        for name, value in self.names.items():
            text = text.replace(f"{{{name}}}", str(value))
        return text

    def close(self):
        for server in (self.canary, self.public):
            server.shutdown()
            server.server_close()


@pytest.fixture(scope="module")
def places(tmp_path_factory, picture_file, video_file):
    found = Places(tmp_path_factory.mktemp("places"), picture_file, video_file)
    yield found
    found.close()


@pytest.fixture(scope="module")
def app(places):
    served = tiny_served(hosts=["*"])
    yield app_of(served, hosts=("*",), folders=(places.allowed,))
    served.engine.close()


@pytest.fixture(autouse=True)
def network(monkeypatch, places):
    """Names that end in .test, and connections to the public host; all other connections are only written down."""
    resolve, connect = socket.getaddrinfo, httpcore.SyncBackend.connect_tcp
    answers = {
        "public.test": [[PUBLIC]],
        "private.test": [["10.0.0.1"]],
        "mixed.test": [[PUBLIC, "127.0.0.1"]],
        "rebind.test": [[PUBLIC], ["127.0.0.1"]],
    }
    places.connections.clear()

    def getaddrinfo(host, port, *arguments, **options):
        name = host.decode() if isinstance(host, bytes) else host
        if name not in answers:
            return resolve(host, port, *arguments, **options)
        waiting = answers[name]
        found = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in found]

    def connect_tcp(self, host, port, *arguments, **options):
        places.connections.append(host)
        if host != PUBLIC:
            raise httpcore.ConnectError("not in this test")
        return _Public(connect(self, "127.0.0.1", places.public.server_port, *arguments, **options))

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect_tcp)


def answer_to(app, part):
    return post(app, CHAT, chat(part, "What is it?", max_tokens=1))


def check_refused(app, places, part):
    """The request is refused in plain words, and nothing but the public host was asked."""
    answer = answer_to(app, part)
    assert 400 <= answer.status_code < 500, answer.text
    message = answer.json()["error"]["message"]
    assert message
    assert "Traceback" not in message
    assert places.canary.seen == []
    assert set(places.connections) <= {PUBLIC}


def test_there_are_more_than_sixty_kinds():
    assert len(ADDRESSES) + len(PLAYLISTS) > 60


@pytest.mark.parametrize("kind", ADDRESSES)
def test_an_address_is_refused(app, places, kind):
    for part in parts_of(places.filled(ADDRESSES[kind])):
        check_refused(app, places, part)


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_file_that_names_others_is_refused(app, places, kind):
    text = places.filled(PLAYLISTS[kind])
    path = places.allowed / "file"
    path.write_text(text)
    for address in (data_of(text), str(path)):
        for part in parts_of(address)[:5]:
            check_refused(app, places, part)


def test_a_film_that_points_to_another_film_is_refused(app, places):
    data = film_that_points_to(places.folder / "secret.mp4")
    path = places.allowed / "film.mov"
    path.write_bytes(data)
    for address in (data_address(data, "video/quicktime"), str(path)):
        check_refused(app, places, {"type": "video_url", "video_url": {"url": address}})


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": {"url": "{secret}"}}},
        {"type": "image_url", "image_url": {"url": ["{secret}"]}},
        {"type": "image_url", "image_url": {"path": "{secret}"}},
        {"type": "image", "image": {"bytes": None, "path": "{secret}"}},
        {"type": "image", "path": "{secret}"},
        {"type": "video", "video": [["{secret}", "{secret}"], ["{secret}", "{secret}"]]},
        {"type": "video", "video": [{"image": "{secret}"}, {"image": "{secret}"}]},
        {"type": "video", "video": ["data:,a", "{secret}"]},
        {"type": "video_url", "video_url": {"url": "data:video/jpeg;base64,{secret}"}},
        {"type": "file", "file": {"file_id": "{secret}"}},
        {"type": "file", "file": {"file_url": "{secret}"}},
        {"type": "file", "file": {"file_data": {"url": "{secret}"}}},
        {"type": "input_image", "image_url": "{secret}"},
        {"type": "input_image", "file_id": "{secret}"},
        {"type": "input_audio", "input_audio": {"data": "{secret}", "format": "wav"}},
        {"type": "image_url", "image_url": {"url": "data:,a", "url2": "{secret}"}},
    ],
    ids=str,
)
def test_an_address_at_another_place_is_refused(app, places, part):
    def filled(value):
        if isinstance(value, dict):
            return {name: filled(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [filled(inner) for inner in value]
        return places.filled(value) if isinstance(value, str) else value

    check_refused(app, places, filled(part))


def test_what_is_allowed_is_opened(app, places, picture):
    for address in (
        f"{places.allowed}/good.png",
        f"file://{places.allowed}/good.png",
        "http://public.test/good.png",
        "http://public.test/to?http://public.test/good.png",
        data_address(picture),
    ):
        assert answer_to(app, picture_part(address)).status_code == 200, address
    assert places.canary.seen == []
    assert set(places.connections) == {PUBLIC}


def test_a_line_break_in_an_address_adds_no_header(app, places):
    places.public.seen.clear()
    answer_to(app, picture_part("http://public.test/a\r\nX-Evil: 1\r\n\r\nGET /b?\r\n c"))
    assert places.public.seen == ["/aX-Evil:%201GET%20/b?%20c"]
    answer_to(app, picture_part("http://public.test/%0d%0aX-Evil:%201"))
    assert places.public.seen[1:] == ["/%0d%0aX-Evil:%201"]


def test_without_hosts_no_name_is_even_looked_up(places, monkeypatch):
    served = tiny_served()
    looked_up = []
    resolve = socket.getaddrinfo

    def getaddrinfo(host, *arguments, **options):
        looked_up.append(host)
        return resolve(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    for address in ("http://public.test/good.png", "https://user:password@example.com/?key=1"):
        answer = answer_to(app_of(served), picture_part(address))
        assert answer.status_code == 400
        assert "user:password" not in answer.text
        assert "key=1" not in answer.text
    served.engine.close()
    assert looked_up == []
    assert places.connections == []
