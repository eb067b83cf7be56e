# SPDX-License-Identifier: Apache-2.0
"""API keys, kept as hashes in a file that may change while the server runs.

A line of the file is the name of a key, the SHA-256 of the key in hexadecimal, and optionally a limit of its own::

    alice 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    batch 60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11d752 requests_per_minute=600

`finesight serve --new-key NAME` makes such a line. Empty lines and those that begin with # are left out.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import stat
import threading
from dataclasses import dataclass
from pathlib import Path

from finesight.errors import ConfigError
from finesight.inputs import shown

_HASH = re.compile(r"[0-9a-f]{64}")
_MOST_BYTES = 10**7
_LIMIT = "requests_per_minute="


@dataclass(frozen=True, slots=True)
class Key:
    """An API key.

    Attributes:
        name: its name in logs and metrics.
        digest: SHA-256 of the key, in hexadecimal.
        requests_per_minute: limit; None takes the server's.
    """

    name: str
    digest: str
    requests_per_minute: int | None = None


class Keys:
    """The keys of a file, which is read again when it changes.

    Args:
        path: the file.

    Raises:
        ConfigError: the file cannot be read, or a line of it is of another form.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamp, self._keys = _stamp(path), read_keys(path)

    def find(self, secret: str) -> Key | None:
        """The entry of a key; None if there is none.

        Raises:
            ConfigError: the file changed and cannot be read now: nobody is let in until it is mended.
        """
        with self._lock:
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._keys = read_keys(self._path)
                self._stamp = stamp
            keys = self._keys
        digest = digest_of(secret)
        found = [key for key in keys if hmac.compare_digest(key.digest, digest)]
        return found[0] if found else None


def digest_of(secret: str) -> str:
    """SHA-256 of a key, in hexadecimal."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def new_key(name: str) -> tuple[str, str]:
    """A new key, and its line for the file.

    Raises:
        ConfigError: the name has a blank or begins with #.
    """
    if not name or name.startswith("#") or len(name.split()) != 1:
        raise ConfigError(f"the name of a key is {shown(name)}", hint="give one word")
    secret = "fs-" + secrets.token_urlsafe(32)
    return secret, f"{name} {digest_of(secret)}"


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys of a file; errors as of `Keys`."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the file of API keys {path} cannot be read: {error}") from error
    keys: dict[str, Key] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key = _read(line, f"{path}, line {number}")
        if key.name in keys:
            raise ConfigError(f"{path}, line {number}: there is a key {key.name!r} above")
        keys[key.name] = key
    if not keys:
        raise ConfigError(f"{path} has no key", hint="finesight serve --new-key NAME makes one")
    return tuple(keys.values())


def _read(line: str, where: str) -> Key:
    name, *rest = line.split()
    limit = None
    if len(rest) == 2 and rest[1].startswith(_LIMIT):
        number = rest.pop().removeprefix(_LIMIT)
        limit = int(number) if number.isdecimal() and len(number) < 10 else 0
    if len(rest) != 1 or not _HASH.fullmatch(rest[0]) or limit == 0:
        raise ConfigError(  # the line is not quoted: it may be a key that nobody hashed
            f"{where} is not a name, 64 hexadecimal digits and perhaps {_LIMIT}NUMBER",
            hint="finesight serve --new-key NAME makes a line",
        )
    return Key(name, rest[0], limit)


def _stamp(path: Path) -> tuple[int, int, int]:
    """Changes when the file does."""
    try:
        status = path.stat()
    except OSError as error:
        raise ConfigError(f"the file of API keys {path} cannot be read: {error}") from error
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
        raise ConfigError(  # reading a pipe would wait for ever
            f"the file of API keys {path} is no regular file of at most {_MOST_BYTES:,} bytes"
        )
    return status.st_mtime_ns, status.st_size, status.st_ino
