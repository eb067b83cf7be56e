# SPDX-License-Identifier: Apache-2.0
"""The device side of the adb protocol on loopback: it accepts connections and runs their shell commands.

Messages have a header of six 32-bit numbers: command, two arguments, length and checksum of the data, and the inverted
command. A stream is opened with the name of a service, and its answer is written in pieces, each of which the other
side acknowledges before the next.

A shell command is answered with its output alone. In version 2 of the shell protocol the answer consists of packets: of
output, and one of the exit code.

Source: packages/modules/adb/protocol.txt and shell_protocol.h of Android.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress

VERSION = 0x01000000
MOST_BYTES = 256 * 1024
"""Largest data of one message."""
_HEADER = struct.Struct("<6I")
_SERVICE = re.compile(r"(shell|exec)((?:,[\w=.-]+)*):(.*)", re.DOTALL)
_STANDARD_OUTPUT, _EXIT = 1, 3
"""Kinds of packets of the shell protocol, version 2."""


class Adbd:
    """A server for adb on a free port of the loopback interface.

    Args:
        run: runs a shell command and returns its output and exit code; called in the thread of the connection.
        properties: of the device, as `adb devices -l` shows them.

    Attributes:
        port: where it listens.
    """

    def __init__(
        self, run: Callable[[str], tuple[bytes, int]], properties: Mapping[str, str]
    ) -> None:
        self._run = run
        banner = "".join(f"{name}={value};" for name, value in properties.items())
        self._banner = f"device::{banner}features=shell_v2,cmd".encode()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, name="adbd", daemon=True).start()

    def close(self) -> None:
        """End all connections and accept no more, like a phone whose cable is pulled."""
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                connection, _ = self._listener.accept()
                self._open.add(connection)
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        """Answer the messages of one connection until it ends."""
        waiting: dict[int, list[bytes]] = {}  # by the other side's stream: pieces not yet sent
        with suppress(OSError), connection:
            while message := _received(connection):
                command, first, second, data = message
                if command == b"CNXN":
                    _send(connection, b"CNXN", VERSION, MOST_BYTES, self._banner)
                elif command == b"OPEN":
                    self._open_stream(connection, first, data, waiting)
                elif command == b"OKAY" and first in waiting:
                    _continue(connection, first, second, waiting)
                elif command == b"CLSE":
                    waiting.pop(first, None)
        self._open.discard(connection)

    def _open_stream(
        self, connection: socket.socket, stream: int, data: bytes, waiting: dict[int, list[bytes]]
    ) -> None:
        service = data.rstrip(b"\0").decode("utf-8", errors="replace")
        found = _SERVICE.fullmatch(service)
        if found is None:
            _send(connection, b"CLSE", 0, stream)
            return
        _send(connection, b"OKAY", stream, stream)
        output, code = self._run(found[3])
        if "v2" in found[2].split(","):
            output = _packet(_STANDARD_OUTPUT, output) + _packet(_EXIT, bytes([code]))
        waiting[stream] = [
            output[start : start + MOST_BYTES] for start in range(0, len(output), MOST_BYTES)
        ]
        _continue(connection, stream, stream, waiting)


def _packet(kind: int, data: bytes) -> bytes:
    return struct.pack("<BI", kind, len(data)) + data


def _continue(
    connection: socket.socket, stream: int, own: int, waiting: dict[int, list[bytes]]
) -> None:
    """Send the next piece of a stream, or close it after the last; both sides use one number for it."""
    pieces = waiting[stream]
    if pieces:
        _send(connection, b"WRTE", own, stream, pieces.pop(0))
    else:
        del waiting[stream]
        _send(connection, b"CLSE", own, stream)


def _send(
    connection: socket.socket, command: bytes, first: int, second: int, data: bytes = b""
) -> None:
    number = int.from_bytes(command, "little")
    checksum = sum(data) & 0xFFFFFFFF
    header = _HEADER.pack(number, first, second, len(data), checksum, number ^ 0xFFFFFFFF)
    connection.sendall(header + data)


def _received(connection: socket.socket) -> tuple[bytes, int, int, bytes] | None:
    """The next message: command, arguments and data; None at the end of the connection."""
    header = _exactly(connection, _HEADER.size)
    if header is None:
        return None
    number, first, second, length, _, inverted = _HEADER.unpack(header)
    if number ^ inverted != 0xFFFFFFFF or length > MOST_BYTES:
        return None  # not adb
    data = _exactly(connection, length)
    return None if data is None else (number.to_bytes(4, "little"), first, second, data)


def _exactly(connection: socket.socket, length: int) -> bytes | None:
    data = bytearray()
    while len(data) < length:
        more = connection.recv(length - len(data))
        if not more:
            return None
        data += more
    return bytes(data)
