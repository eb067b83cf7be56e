# SPDX-License-Identifier: Apache-2.0
"""API keys: the form of the file, changes while the server runs, and files that are not lists of keys."""

from __future__ import annotations

import os

import pytest

from finesight.errors import ConfigError
from finesight.server.keys import Key, Keys, digest_of, new_key, read_keys


def write(path, *lines):
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keys"


def test_a_new_key_is_found_by_the_line_made_for_it(file):
    secret, line = new_key("alice")
    assert Keys(write(file, line)).find(secret) == Key("alice", digest_of(secret))


def test_the_line_of_a_key_does_not_have_the_key(file):
    secret, line = new_key("alice")
    assert secret not in line
    assert secret.removeprefix("fs-") not in line
    assert new_key("alice")[0] != secret


@pytest.mark.parametrize("secret", ["", "alice", "fs-", "\ud800", "x" * 10_000, "fs-ü"])
def test_another_text_is_no_key(file, secret):
    assert Keys(write(file, new_key("alice")[1])).find(secret) is None


def test_the_hash_itself_is_no_key(file):
    _, line = new_key("alice")
    assert Keys(write(file, line)).find(line.split()[1]) is None


def test_a_key_may_have_a_limit_of_its_own(file):
    line = new_key("batch")[1]
    (key,) = read_keys(write(file, f"{line} requests_per_minute=600"))
    assert key.requests_per_minute == 600


def test_comments_and_empty_lines_are_left_out(file):
    secret, line = new_key("alice")
    keys = Keys(write(file, "# people", "", "   ", f"  {line}  ", "  # end"))
    assert keys.find(secret).name == "alice"


def test_a_changed_file_is_read_again(file):
    (old, old_line), (new, new_line) = new_key("alice"), new_key("bob")
    keys = Keys(write(file, old_line))
    assert keys.find(new) is None
    write(file, old_line, new_line)
    assert keys.find(new).name == "bob"
    write(file, new_line)
    assert keys.find(old) is None


def test_a_file_of_the_same_size_and_time_that_replaces_it_is_read_again(file, tmp_path):
    (old, old_line), (new, new_line) = new_key("alice"), new_key("carol")
    keys = Keys(write(file, old_line))
    other = write(tmp_path / "other", new_line)
    status = file.stat()
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(file)
    assert keys.find(new).name == "carol"
    assert keys.find(old) is None


def test_nobody_is_let_in_by_a_file_that_was_broken(file):
    secret, line = new_key("alice")
    keys = Keys(write(file, line))
    file.write_text("nonsense")
    for _ in range(2):  # not by the keys of before either
        with pytest.raises(ConfigError, match="line 1"):
            keys.find(secret)
    write(file, line)
    assert keys.find(secret).name == "alice"


def test_a_removed_file_lets_nobody_in(file):
    secret, line = new_key("alice")
    keys = Keys(write(file, line))
    file.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        keys.find(secret)


@pytest.mark.parametrize(
    "line",
    [
        "alice",
        "alice fs-QmFyZSBrZXkgdGhhdCBub2JvZHkgaGFzaGVk",
        f"alice {'g' * 64}",
        f"alice {'A' * 64}",
        f"alice {'a' * 63}",
        f"alice {'a' * 64} requests_per_minute=0",
        f"alice {'a' * 64} requests_per_minute=-5",
        f"alice {'a' * 64} requests_per_minute=²",
        f"alice {'a' * 64} requests_per_minute=1e9",
        f"alice {'a' * 64} requests_per_minute={'9' * 5000}",
        f"alice {'a' * 64} limit=5",
        f"alice {'a' * 64} requests_per_minute=5 more",
    ],
)
def test_a_line_of_another_form_is_named_but_not_quoted(file, line):
    with pytest.raises(ConfigError, match=r"keys, line 2 is not a name") as caught:
        read_keys(write(file, "# first", line))
    assert line.split()[-1] not in str(caught.value)


def test_two_keys_do_not_have_one_name(file):
    with pytest.raises(ConfigError, match=r"line 2: there is a key 'alice' above"):
        read_keys(write(file, new_key("alice")[1], new_key("alice")[1]))


@pytest.mark.parametrize("content", [b"", b"# nobody\n", b"\xff\xfe\x00", b"\n" * 100])
def test_a_file_without_keys_is_refused(file, content):
    file.write_bytes(content)
    with pytest.raises(ConfigError):
        Keys(file)


def test_what_is_no_regular_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # reading it would wait for ever
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "absent"):
        with pytest.raises(ConfigError, match="the file of API keys"):
            Keys(path)


def test_a_huge_file_is_not_read(file):
    with file.open("wb") as stream:
        stream.truncate(10**7 + 1)
    with pytest.raises(ConfigError, match="at most 10,000,000 bytes"):
        Keys(file)


@pytest.mark.parametrize("name", ["", "two words", "#x", "a\nb"])
def test_a_name_is_one_word(name):
    with pytest.raises(ConfigError, match="the name of a key"):
        new_key(name)
