# SPDX-License-Identifier: Apache-2.0
"""Which files a client may name."""

from __future__ import annotations

import os

import pytest

from finesight.conversation import Conversation, ImagePart, Message, TextPart, VideoPart
from finesight.errors import FetchRefused, FinesightError
from finesight.server.media import MediaAccess, fetch_policy, is_fetched, names_address
from tests.support.serving import app_of, post


@pytest.fixture
def folders(tmp_path):
    """An allowed folder with a file and links out of it, and a secret file beside it."""
    allowed = tmp_path / "allowed"
    (allowed / "sub").mkdir(parents=True)
    (allowed / "a b.png").write_bytes(b"picture")
    (allowed / "sub" / "x.png").write_bytes(b"picture")
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "allowed-not").mkdir()
    (tmp_path / "allowed-not" / "y.png").write_bytes(b"secret")
    (allowed / "link").symlink_to(tmp_path / "secret")
    (allowed / "folder-link").symlink_to(tmp_path / "allowed-not")
    (allowed / "inner-link").symlink_to(allowed / "sub")
    (allowed / "loop").symlink_to(allowed / "loop")
    return allowed


def allow(source, *folders, kind=ImagePart):
    access = MediaAccess(fetch_policy([]), folders)
    conversation = Conversation(
        messages=(Message("user", (TextPart("What is it?"), kind(source=source))),)
    )
    return access.checked(conversation).messages[0].parts[1].source


@pytest.mark.parametrize(
    ("name", "real"),
    [
        ("a b.png", "a b.png"),
        ("sub/x.png", "sub/x.png"),
        ("sub/../a b.png", "a b.png"),
        ("./sub//x.png", "sub/x.png"),
        ("inner-link/x.png", "sub/x.png"),
        ("../allowed/sub/x.png", "sub/x.png"),
    ],
)
def test_a_file_in_an_allowed_folder_is_its_real_path(folders, name, real):
    assert allow(f"{folders}/{name}", folders) == folders / real
    assert allow(f"file://{folders}/{name}", folders) == folders / real
    assert allow(f"file://{folders}/{name.replace(' ', '%20')}", folders) == folders / real


def test_a_folder_that_is_a_link_allows_what_it_leads_to(folders, tmp_path):
    (tmp_path / "alias").symlink_to(folders)
    assert allow(f"{folders}/sub/x.png", tmp_path / "alias") == folders / "sub/x.png"


@pytest.mark.parametrize(
    "name",
    [
        "{0}/../secret",
        "{0}/sub/../../secret",
        "{0}/link",
        "{0}/folder-link/y.png",
        "{0}/inner-link/../../secret",
        "{0}-not/y.png",
        "{0}/absent.png",
        "{0}/loop",
        "{0}/a b.png\0",
        "{0}/../secret\0{0}/a b.png",
        "file://{0}/../secret",
        "file://{0}/%2e%2e/secret",
        "file://{0}/link",
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "file:/etc/passwd",
        "file:etc/passwd",
        "file://localhost/etc/passwd",
        "file://server/etc/passwd",
        "/etc/passwd",
        "etc/passwd",
        "~/.ssh/id_rsa",
        "/proc/self/environ",
        "/proc/self/root/etc/passwd",
        "/dev/zero",
        "//server/share/a.png",
        r"\\server\share\a.png",
        r"C:\secret.png",
        "",
        ".",
        "\ud800",
        "a" * 100_000,
        "ftp://server/a.png",
        "gopher://127.0.0.1:6379/_INFO",
        "concat:/etc/passwd|/etc/hosts",
        "jar:http://server!/a",
    ],
)
def test_any_other_path_is_refused_in_the_same_words(folders, name):
    for kind in (ImagePart, VideoPart):
        with pytest.raises(
            FetchRefused, match="is not a file in a folder that this server reads from"
        ):
            allow(name.format(folders), folders, kind=kind)
        with pytest.raises(
            FetchRefused, match="is not a file in a folder that this server reads from"
        ):
            allow(name.format(folders), kind=kind)


def test_without_folders_no_file_is_read(folders):
    with pytest.raises(FetchRefused):
        allow(f"{folders}/sub/x.png")


def test_each_frame_of_a_list_is_checked(folders):
    good = f"{folders}/sub/x.png"
    assert allow((good, "data:,a"), folders, kind=VideoPart) == (folders / "sub/x.png", "data:,a")
    with pytest.raises(FetchRefused):
        allow((good, "/etc/passwd"), folders, kind=VideoPart)


@pytest.mark.parametrize("address", ["data:,a", "http://example.com/a.png", "HTTPS://example.com"])
def test_addresses_are_left_to_the_policy_of_hosts(address):
    assert allow(address) == address


def test_a_document_is_opened_in_an_allowed_folder_only(folders):
    access = MediaAccess(fetch_policy([]), (folders,))
    assert access.open_file(f"{folders}/sub/x.png") == folders / "sub/x.png"
    assert access.open_file("data:;base64,JVBERg==") == b"%PDF"
    for address in (f"{folders}/link", "/etc/passwd", "http://example.com/a.pdf", str(folders)):
        with pytest.raises(FinesightError):
            access.open_file(address)


def test_a_named_pipe_is_not_opened(folders):
    os.mkfifo(folders / "pipe")
    with pytest.raises(FetchRefused, match="not a regular file"):
        MediaAccess(fetch_policy([]), (folders,)).open_file(f"{folders}/pipe")


def test_no_host_is_allowed_unless_it_is_named():
    with pytest.raises(FetchRefused, match="allowed: none"):
        fetch_policy([]).check_host("example.com", "a")
    fetch_policy([".example.com"]).check_host("a.example.com", "a")
    fetch_policy(["*"]).check_host("example.com", "a")
    assert not fetch_policy(["*"]).allow_private


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("http://example.com/a", True),
        ("HTTPS://example.com/a", True),
        ("data:,http://example.com", False),
        ("/a/http", False),
        (b"http://example.com", False),
        (("data:,a", "https://example.com/b"), True),
        (("data:,a", "data:,b"), False),
    ],
)
def test_what_is_fetched_is_known_before_it_is(source, expected):
    kind = VideoPart if isinstance(source, tuple) else ImagePart
    conversation = Conversation(messages=(Message("user", (TextPart("a"), kind(source=source))),))
    assert is_fetched(conversation) is expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("http://host/a.png", False),
        ([{"type": "text", "text": "http://host/a.png"}], False),
        ([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}], False),
        ([{"type": "image_url", "image_url": {"url": "HTTPS://host/a.png"}}], True),
        ([{"type": "input_file", "file_url": "http://host/a.pdf"}], True),
        ([{"type": "file", "file": {"file_url": "https://host/a.pdf"}}], True),
        ([{"type": "video", "video": ["a.png", "http://host/b.png"]}], True),
        ([{"type": "text"}, 5, None, ["x"]], False),
    ],
)
def test_addresses_in_a_request_are_known_before_it_is_read(content, expected):
    for name in ("messages", "input"):
        assert names_address({name: [{"role": "user", "content": content}]}) is expected
    assert not names_address([content])


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/chat/completions", {"max_tokens": 1}),
        ("/v1/embeddings", {}),
        ("/tokenize", {}),
    ],
)
def test_what_is_fetched_takes_no_place_of_others(served, path, fields):
    """A slow host held the threads and places in which the files of all other requests are read."""
    app = app_of(served)
    state = app.state.finesight
    places = {"fetching": [], "encoding": []}
    for name, used in places.items():
        slots = getattr(state, name)
        run = slots.run
        slots.run = lambda work, used=used, run=run: used.append(1) or run(work)
    address = {"type": "file", "file": {"file_url": "http://none.invalid/a.pdf"}}
    messages = [{"role": "user", "content": [address]}]
    response = post(app, path, {"messages": messages, **fields})
    assert response.status_code == 400
    assert "none.invalid" in response.text
    assert (len(places["fetching"]), places["encoding"]) == (1, [])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/embed", {"model": "tiny", "input": "Hello"}),
        ("/api/embeddings", {"model": "tiny", "prompt": "Hello"}),
        ("/page/pages", {"file_data": "data:,none"}),
    ],
)
def test_long_work_takes_a_place(served, path, body):
    """Without one, 32 requests held all threads, and no other request was read."""
    app, used = app_of(served), []
    slots = app.state.finesight.encoding
    run = slots.run
    slots.run = lambda work: used.append(1) or run(work)
    assert post(app, path, body).status_code in (200, 400)
    assert used == [1]
