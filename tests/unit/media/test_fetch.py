# SPDX-License-Identifier: Apache-2.0
"""Fetching from a server on this machine: limits, redirects, and addresses that are not public."""

from __future__ import annotations

import contextlib
import http.server
import io
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from PIL import Image

from finesight.errors import FetchRefused, MediaError, MediaTooLarge
from finesight.media import fetch
from finesight.media.fetch import FetchPolicy, address_name, fetch_bytes, is_public
from finesight.media.image import load_image
from finesight.media.source import localize

BODY = bytes(range(256)) * 40


class Handler(http.server.BaseHTTPRequestHandler):
    """A server that behaves as the path says."""

    protocol_version = "HTTP/1.1"
    seen: list[str]

    def do_GET(self) -> None:
        self.server.seen.append(f"{self.headers['Host']} {self.path}")
        name, _, rest = self.path.lstrip("/").partition("/")
        getattr(self, f"answer_{name}", self.answer_missing)(rest)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer_body(self, rest: str) -> None:
        self.answer(200, BODY)

    def answer_picture(self, rest: str) -> None:
        stream = io.BytesIO()
        Image.new("RGB", (7, 5)).save(stream, "PNG")
        self.answer(200, stream.getvalue())

    def answer_missing(self, rest: str) -> None:
        self.answer(404, b"not here")

    def answer_to(self, rest: str) -> None:
        self.answer(302, Location=rest)

    def answer_around(self, rest: str) -> None:
        self.answer(302, Location="/around")

    def answer_packed(self, rest: str) -> None:
        self.answer(200, BODY, Content_Encoding="gzip")

    def answer_endless(self, rest: str) -> None:
        """Chunks without end and without a length."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b"400\r\n" + b"x" * 1024 + b"\r\n")

    def answer_drip(self, rest: str) -> None:
        """One byte now and then, each within any single time limit."""
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(60):
                self.wfile.write(b"x")
                self.wfile.flush()
                if self.server.stop.wait(0.05):
                    return

    def log_message(self, *arguments: object) -> None:
        return


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.seen, server.stop = [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.stop.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def base(server) -> str:
    return f"http://127.0.0.1:{server.server_port}"


QUICK = FetchPolicy(max_bytes=10, timeout_seconds=5)


def fetch_it(url: str, **changes) -> bytes:
    options = {"max_bytes": 1 << 20, "timeout_seconds": 20.0, "allow_private": True}
    return fetch_bytes(url, FetchPolicy(**(options | changes)))


def test_fetches_a_body(base, server):
    assert fetch_it(f"{base}/body") == BODY
    assert fetch_it(f"{base}/body/with%20space and ümlaut?q=a b#part") == BODY
    assert server.seen[1].endswith("/body/with%20space%20and%20%C3%BCmlaut?q=a%20b")


def test_a_picture_by_address(base):
    policy = FetchPolicy(allow_private=True)
    assert load_image(f"{base}/picture/a.png", policy=policy).size == (7, 5)


def test_a_video_is_kept_in_a_file_as_long_as_its_source(base):
    policy = FetchPolicy(allow_private=True)
    source = localize(f"{base}/body/clip.mp4", policy=policy, kind="video")
    path = source.data
    assert path.read_bytes() == BODY
    del source
    assert not path.exists()


def test_private_addresses_are_refused_unless_allowed(base, server):
    with pytest.raises(FetchRefused, match=r"127\.0\.0\.1, which is not a public address"):
        fetch_it(f"{base}/body", allow_private=False)
    with pytest.raises(FetchRefused):
        load_image(f"{base}/picture/a.png")
    assert server.seen == []  # not even asked


@pytest.mark.parametrize(
    "host", ["localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"]
)
def test_disguises_of_this_machine_are_refused(host):
    with pytest.raises(FetchRefused, match="which is not a public address"):
        fetch_bytes(f"http://{host}:9/x", QUICK)


def test_a_name_that_leads_to_a_private_address(monkeypatch):
    """As with a name that gives a public address first and a private one the second time."""
    asked = []

    def resolve(host, port, **options):
        asked.append(host)
        address = "93.184.215.14" if len(asked) == 1 else "169.254.169.254"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    connected = []

    class Backend:
        def connect_tcp(self, host, port, *rest):
            connected.append(host)
            raise fetch.httpcore.ConnectError("nobody there")

    monkeypatch.setattr(fetch.socket, "getaddrinfo", resolve)
    monkeypatch.setattr(fetch.httpcore, "SyncBackend", Backend)
    with pytest.raises(MediaError, match="nobody there"):
        fetch_bytes("http://rebinding.example/", QUICK)
    assert asked == ["rebinding.example"]  # resolved once, and the checked address was taken
    assert connected == ["93.184.215.14"]
    with pytest.raises(FetchRefused, match=r"rebinding\.example at 169\.254\.169\.254"):
        fetch_bytes("http://rebinding.example/", QUICK)


def test_one_private_address_among_several_is_enough(monkeypatch):
    def resolve(host, port, **options):
        found = ("93.184.215.14", "10.0.0.1")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in found]

    monkeypatch.setattr(fetch.socket, "getaddrinfo", resolve)
    with pytest.raises(FetchRefused, match=r"at 10\.0\.0\.1"):
        fetch_bytes("http://mixed.example/", QUICK)


@pytest.mark.parametrize("hosts", [("127.0.0.1",), ("example.com", "127.0.0.1."), (".0.0.1",)])
def test_hosts_that_are_allowed(base, hosts):
    assert fetch_it(f"{base}/body", hosts=hosts) == BODY


@pytest.mark.parametrize(
    "hosts", [(), ("example.com",), ("0.0.1",), (".127.0.0.1",), ("27.0.0.1",)]
)
def test_other_hosts_are_refused(base, server, hosts):
    with pytest.raises(FetchRefused, match=r"the host 127\.0\.0\.1, which is not allowed"):
        fetch_it(f"{base}/body", hosts=hosts)
    assert server.seen == []


def test_a_redirect_to_another_host_is_refused(base, server):
    other = f"http://localhost:{server.server_port}"
    assert fetch_it(f"{other}/to//body", hosts=("localhost",)) == BODY
    address = f"{base}/body"
    with pytest.raises(FetchRefused, match=r"the host 127\.0\.0\.1, which is not allowed"):
        fetch_it(f"{other}/to/{address}", hosts=("localhost",))


def test_redirects(base, server):
    assert fetch_it(f"{base}/to//body") == BODY
    assert len(server.seen) == 2
    with pytest.raises(FetchRefused, match="redirects more than 5 times"):
        fetch_it(f"{base}/around")
    assert len(server.seen) == 2 + 6


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://a.example/x", "data:,x"])
def test_redirects_to_other_schemes_are_refused(base, target):
    with pytest.raises(FetchRefused, match="which is not http or https"):
        fetch_it(f"{base}/to/{target}")


@pytest.mark.parametrize("target", ["http://[::1", "//[x]/a.png"])
def test_a_redirect_to_what_is_no_address_is_refused(base, target):
    with pytest.raises(MediaError, match="redirects to an address that is not valid"):
        fetch_bytes(f"{base}/to/{target}", FetchPolicy(allow_private=True))


def test_a_redirect_to_a_private_address_is_refused(base, monkeypatch):
    """The first address counts as public here, the one it redirects to does not."""
    monkeypatch.setattr(fetch, "is_public", lambda address: address == "127.0.0.1")
    with pytest.raises(FetchRefused, match=r"169\.254\.169\.254, which is not a public address"):
        fetch_it(f"{base}/to/http://169.254.169.254/latest/meta-data", allow_private=False)


def test_too_many_bytes(base):
    with pytest.raises(MediaTooLarge, match=r"at least 10,240 bytes; at most 10,239 are fetched"):
        fetch_it(f"{base}/body", max_bytes=len(BODY) - 1)
    assert fetch_it(f"{base}/body", max_bytes=len(BODY)) == BODY
    with pytest.raises(MediaTooLarge, match="at most 50,000 are fetched"):
        fetch_it(f"{base}/endless", max_bytes=50_000)


def test_a_trickle_ends_at_the_time_limit(base):
    start = time.monotonic()
    with pytest.raises(MediaTooLarge, match=r"was not fetched within 0\.4 s"):
        fetch_it(f"{base}/drip", timeout_seconds=0.4)
    assert time.monotonic() - start < 2.5


def test_answers_that_are_no_file(base):
    with pytest.raises(MediaError, match="was answered with status 404, not 200"):
        fetch_it(f"{base}/nowhere")
    with pytest.raises(MediaError, match=r"was sent compressed \(gzip\)"):
        fetch_it(f"{base}/packed")


def test_nobody_answers(monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(MediaError, match="could not be fetched"):
            fetch_it(f"http://127.0.0.1:{port}/x")

    def unknown(host, port, **options):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(fetch.socket, "getaddrinfo", unknown)
    with pytest.raises(MediaError, match=r"the host name 'no\.such\.example' is not known"):
        fetch_it("http://no.such.example/x")


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("http:///x", MediaError, "has no host"),
        ("http://a.example:99999/x", MediaError, "is not a valid address"),
        ("http://[::1/x", MediaError, "is not a valid address"),
        ("http://me:secret@a.example/x", FetchRefused, "carries a user name or password"),
    ],
)
def test_bad_addresses(url, error, message):
    with pytest.raises(error, match=message) as caught:
        fetch_it(url)
    assert "secret" not in str(caught.value)


def test_names_of_addresses_hide_secrets():
    assert address_name("https://me:pw@a.example/b.png?signature=s") == "https://a.example/b.png"
    assert len(address_name("https://a.example/" + "x" * 900)) == 160


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07::1", True),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("64:ff9b:1::7f00:1", False),
        ("::127.0.0.1", False),
        ("::10.1.2.3", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.215.14", True),
        ("2002:7f00:1::", False),
        ("64:ff9b::7f00:1", False),
    ],
)
def test_public_addresses(address, expected):
    assert is_public(address) is expected
