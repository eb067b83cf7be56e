# SPDX-License-Identifier: Apache-2.0
"""An X11 display in memory with a window manager and an accessibility bus, and the programs on it.

Every program runs under bubblewrap: the file system is read only but for a home folder of its own, /tmp is empty, and
there is no network. A display that a user works on is used as it is, and nothing is started there.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from finesight.errors import ScreenUnavailable
from finesight.geometry import Size

NEEDED = ("Xvfb", "openbox", "xdotool", "xmodmap", "dbus-daemon", "bwrap")
"""Programs of a display of its own."""
SYSTEM_PYTHON = "/usr/bin/python3"
"""Debian's Python, which has the bindings of AT-SPI."""
BUS_LAUNCHER = Path("/usr/libexec/at-spi-bus-launcher")
HINT = "install the programs with scripts/install-system-packages.sh screens"
_GRACE_SECONDS = 3.0


class Display:
    """A display of its own, or a running one.

    Args:
        size: of a display of its own.
        name: of a running display such as ":0"; None starts one.
        network: whether programs may use the network.
        home: folder for the programs' files; None takes a new one, removed at the end.
        timeout_seconds: time limit of one call, and of the start.

    Attributes:
        started: command lines of the programs, in order.

    Raises:
        ScreenUnavailable: a program is missing, or the display does not start.
    """

    def __init__(
        self,
        size: Size,
        *,
        name: str | None = None,
        network: bool = False,
        home: Path | None = None,
        timeout_seconds: float = 20.0,
    ) -> None:
        self.network, self.timeout_seconds = network, timeout_seconds
        self.started: list[tuple[str, ...]] = []
        self.home: Path | None = None
        self._processes: list[subprocess.Popen[str]] = []
        self._prefix: tuple[str, ...]
        self._keeps_home = home is not None
        check_programs(("xdotool", "xmodmap") if name else NEEDED)
        if name is not None:
            self.name, self.network = name, True
            self._prefix = ("env", f"DISPLAY={name}")
            return
        self.home = (home or Path(tempfile.mkdtemp(prefix="finesight-home-"))).resolve()
        self._log = (self.home / "messages.log").open("w+", encoding="utf-8")
        try:
            self.name = self._start_server(size)
            self._prefix = self._sandbox()
            self._start_services()
        except BaseException:
            self.close()
            raise

    def start(self, words: Sequence[str]) -> subprocess.Popen[str]:
        """Start a program on the display.

        Raises:
            ScreenUnavailable: the display is not its own, has ended, or there is no such program.
        """
        if self.home is None:
            raise ScreenUnavailable(
                f"{' '.join(words)} is not started on the running display {self.name}",
                hint="start it there by hand, or leave out the name of the display",
            )
        self.check()
        if shutil.which(words[0], path=_PATH) is None:
            raise ScreenUnavailable(f"there is no program {words[0]!r}", hint=f"looked in {_PATH}")
        self.started.append(tuple(words))
        return self._spawn((*self._prefix, *words))

    def run(self, words: Sequence[str], text: str = "") -> subprocess.CompletedProcess[str]:
        """Run a program to its end, with a text as its input.

        Raises:
            ScreenUnavailable: the display has ended, or the program does not end in time.
        """
        self.check()
        try:
            return subprocess.run(
                [*self._prefix, *words],
                input=text,
                capture_output=True,
                text=True,
                timeout=self.timeout_seconds,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ScreenUnavailable(f"display {self.name}: {words[0]}: {error}") from error

    def check(self) -> None:
        """Raise `ScreenUnavailable` if the display has ended."""
        if self.home is None:
            return
        if not self._processes:
            raise ScreenUnavailable(f"display {self.name} is closed")
        server = self._processes[0]
        if server.poll() is not None:
            raise ScreenUnavailable(
                f"display {self.name} has ended with code {server.returncode}: {self.messages()}"
            )

    def messages(self) -> str:
        """The last line that programs wrote to standard error."""
        self._log.flush()
        self._log.seek(0)
        lines = [line.strip() for line in self._log.read()[-4000:].splitlines() if line.strip()]
        return lines[-1] if lines else "no message"

    def close(self) -> None:
        """End the programs, then the display; a second call does nothing."""
        processes, self._processes = self._processes[::-1], []
        for each in processes:
            each.terminate()
            try:
                each.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                each.kill()
                each.wait()
        if self.home is not None and processes:
            self._log.close()
            if not self._keeps_home:
                shutil.rmtree(self.home, ignore_errors=True)

    def _spawn(self, words: Sequence[str], *, keep: Sequence[int] = ()) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            pass_fds=keep,
            text=True,
        )
        self._processes.append(process)
        return process

    def _start_server(self, size: Size) -> str:
        """Start Xvfb on a free display and return its name."""
        source, sink = os.pipe()
        screen = f"{size.width}x{size.height}x24"
        options = ("-nolisten", "tcp", "-noreset", "-screen", "0", screen)
        try:
            self._spawn(("Xvfb", "-displayfd", str(sink), *options), keep=[sink])
        finally:
            os.close(sink)
        with os.fdopen(source, encoding="ascii") as numbers:
            ready, _, _ = select.select([numbers], [], [], self.timeout_seconds)
            number = numbers.readline().strip() if ready else ""
        if not number:
            raise ScreenUnavailable(f"Xvfb does not start: {self.messages()}", hint=HINT)
        return f":{number}"

    def _sandbox(self) -> tuple[str, ...]:
        """Words before a program's own: its view of files, its network and its environment."""
        home = str(self.home)
        words = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
        words += ["--tmpfs", "/tmp", "--bind", "/tmp/.X11-unix", "/tmp/.X11-unix"]
        words += ["--bind", home, home, "--chdir", home, "--die-with-parent", "--unshare-pid"]
        # Not root inside: programs warn about that in a bar of their window.
        words += ["--clearenv", "--unshare-user", "--uid", "1000", "--gid", "1000"]
        words += [] if self.network else ["--unshare-net"]
        environment = {
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={home}/.run/bus",
            "DISPLAY": self.name,
            "HOME": home,
            "LANG": "C.UTF-8",
            "NO_AT_BRIDGE": "0",
            "PATH": _PATH,
            "XDG_RUNTIME_DIR": f"{home}/.run",
        }
        for key, value in environment.items():
            words += ["--setenv", key, value]
        return tuple(words)

    def _start_services(self) -> None:
        """Start the message bus, the accessibility bus and the window manager, and wait for them."""
        assert self.home is not None, "a running display has its own services"
        bus = self.home / ".run" / "bus"
        bus.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.home / ".config").mkdir(exist_ok=True)
        bus.unlink(missing_ok=True)
        self._spawn(
            (*self._prefix, "dbus-daemon", "--session", "--nofork", f"--address=unix:path={bus}")
        )
        end = time.monotonic() + self.timeout_seconds
        while not bus.exists():
            if time.monotonic() > end:
                raise ScreenUnavailable(f"dbus-daemon does not start: {self.messages()}", hint=HINT)
            time.sleep(0.02)
        if BUS_LAUNCHER.exists():
            self._spawn((*self._prefix, str(BUS_LAUNCHER), "--launch-immediately"))
        self._spawn((*self._prefix, "openbox"))
        while self.run(("xdotool", "get_num_desktops")).returncode:
            if time.monotonic() > end:
                raise ScreenUnavailable(f"openbox does not start: {self.messages()}", hint=HINT)
            time.sleep(0.05)


_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/games"


def check_programs(names: Sequence[str] = NEEDED) -> None:
    """Raise `ScreenUnavailable` if a program is missing."""
    missing = [each for each in names if shutil.which(each) is None]
    if missing:
        raise ScreenUnavailable(f"programs are missing: {', '.join(missing)}", hint=HINT)
