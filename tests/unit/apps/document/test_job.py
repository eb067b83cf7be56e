# SPDX-License-Identifier: Apache-2.0
"""Reading into a folder: resuming, damaged pages, other settings, pages that cannot be read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from finesight import files
from finesight.apps.document.html import document_html, document_json
from finesight.apps.document.job import Job, chosen_route, read_pages, route_for
from finesight.apps.document.pages import find_pages, load
from finesight.apps.document.read import ReadOptions
from finesight.errors import AppError, ConfigError, MediaError, RemoteError
from tests.support.app_responders import Oracle
from tests.support.documents import lines_below, oracle_of, write_pdf

OPTIONS = ReadOptions(max_pixels=400_000)
PAGES = [[f"Page {number} of the book", f"It has {number} lines"] for number in range(1, 5)]


class Killed(BaseException):
    """Stands for a signal that ends the process."""


class Counting:
    """Counts its calls, and ends the process at one of them."""

    def __init__(self, inner, ends_at=99):
        self.inner, self.ends_at, self.calls = Oracle(inner), ends_at, 0

    def respond(self, conversations, sampling):
        self.calls += 1
        if self.calls == self.ends_at:
            raise Killed
        return self.inner.respond(conversations, sampling)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("job")
    return write_pdf(folder / "book.pdf", [lines_below(texts) for texts in PAGES])


@pytest.fixture(scope="module")
def oracle(path):
    return oracle_of(path)


def job_of(path, folder, **changes) -> Job:
    job = Job(find_pages([path]), replace(OPTIONS, **changes), "oracle", folder=folder)
    job.check()
    return job


def test_a_killed_run_goes_on_where_it_stopped(path, oracle, tmp_path):
    first = Counting(oracle, ends_at=3)
    with pytest.raises(Killed):
        read_pages(job_of(path, tmp_path / "out"), first)
    second, seen = Counting(oracle), []
    document = read_pages(
        job_of(path, tmp_path / "out"), second, on_page=lambda page, known: seen.append(known)
    )
    assert second.calls == 2
    assert seen == [True, True, False, False]
    whole = read_pages(job_of(path, None), Counting(oracle))
    assert document == whole
    assert [page.text.split("\n\n") for page in document.pages] == PAGES


def test_a_damaged_page_is_read_again(path, oracle, tmp_path):
    read_pages(job_of(path, tmp_path / "out"), Counting(oracle))
    damaged = tmp_path / "out" / "pages" / "00002.json"
    damaged.write_bytes(damaged.read_bytes()[:40])
    again = Counting(oracle)
    document = read_pages(job_of(path, tmp_path / "out"), again)
    assert again.calls == 1
    assert document.coverage.is_full


def test_pages_about_which_a_server_failed_are_asked_about_again(path, oracle, tmp_path):
    class Failing:
        def __init__(self):
            self.calls = 0

        def respond(self, conversations, sampling):
            self.calls += 1
            if self.calls > 2:
                raise RemoteError("the server is down")
            return Oracle(oracle).respond(conversations, sampling)

    broken = read_pages(job_of(path, tmp_path / "out"), Failing())
    assert [page.status for page in broken.pages] == ["read", "read", "text_layer", "text_layer"]
    again = Counting(oracle)
    document = read_pages(job_of(path, tmp_path / "out"), again)
    assert again.calls == 2
    assert {page.status for page in document.pages} == {"read"}


def test_a_folder_keeps_its_settings(path, oracle, tmp_path):
    folder = tmp_path / "out"
    assert chosen_route(folder) is None
    read_pages(job_of(path, folder), Counting(oracle))
    assert chosen_route(folder) == "html"
    with pytest.raises(AppError, match="route = html, this run has text"):
        job_of(path, folder, route="text")
    other = write_pdf(tmp_path / "book.pdf", [lines_below(["Another book"])] * 4)
    with pytest.raises(AppError, match="files = "):
        job_of(other, folder)


def test_a_page_that_cannot_be_drawn_is_a_page(path, oracle, tmp_path, monkeypatch):
    from finesight.apps.document import job as module

    def load(address, **options):
        if address.index == 1:
            raise MediaError("page 2 is broken")
        return loaded(address, **options)

    loaded = module.load
    monkeypatch.setattr(module, "load", load)
    document = read_pages(job_of(path, tmp_path / "out"), Counting(oracle))
    assert [page.status for page in document.pages] == ["read", "unreadable", "read", "read"]
    assert document.coverage.to_dict()["skipped"] == [
        {"what": "page 2", "reason": "page 2 is broken"}
    ]


def test_html_and_json_name_places_in_pixels_of_the_page(path, oracle):
    document = read_pages(job_of(path, None), Counting(oracle))
    written = document_html(document)
    assert written.count("<section ") == 4
    box = document.pages[0].blocks[0].box
    assert f'data-bbox="{round(box.x1)} {round(box.y1)} {round(box.x2)} {round(box.y2)}"' in written
    values = document_json(document)
    assert values["pages"][3]["page"] == 4
    assert values["coverage"]["seen"] == 4


def test_pages_of_several_files_are_numbered_through(path, tmp_path):
    picture = tmp_path / "folder"
    picture.mkdir()
    write_pdf(picture / "b.pdf", [lines_below(["b"])])
    write_pdf(picture / "a.pdf", [lines_below(["a"])])
    (picture / "notes.txt").write_text("no page")
    found = find_pages([path, picture], "1-1")
    assert [(one.path.name, one.index, one.number) for one in found] == [
        ("book.pdf", 0, 1), ("a.pdf", 0, 2), ("b.pdf", 0, 3),
    ]  # fmt: skip
    assert [one.source for one in found] == ["book.pdf", "a.pdf", "b.pdf"]
    same = write_pdf(tmp_path / "a.pdf", [lines_below(["another a"])])
    found = find_pages([same, picture])
    assert [one.source for one in found] == [str(same), str(picture / "a.pdf"), "b.pdf"]
    assert load(found[1]).source == str(picture / "a.pdf")
    with pytest.raises(ConfigError, match="page 9 of 4 does not exist"):
        find_pages([path], "9")


def test_a_folder_without_pages_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no file to read"):
        find_pages([tmp_path])


def test_the_route_is_that_of_the_first_page_with_ink(tmp_path):
    """The first page is blank, and cannot be asked about; the model writes lines with boxes only."""
    path = write_pdf(tmp_path / "book.pdf", [[], lines_below(PAGES[0])])
    oracle = oracle_of(path)

    def only_lines(question):
        return oracle(question) if question.text.startswith("Spotting") else "No."

    counting = Counting(only_lines)
    assert route_for(job_of(path, None), counting) == "spotting"
    assert counting.calls == 2
    blank = write_pdf(tmp_path / "blank.pdf", [[]])
    assert route_for(job_of(blank, None), Counting(only_lines, ends_at=1)) == "html"


def test_pages_without_probabilities_are_kept(path, oracle, tmp_path):
    """An endpoint need not send log-probabilities."""

    class Bare(Counting):
        def respond(self, conversations, sampling):
            return [replace(one, logprobs=()) for one in super().respond(conversations, sampling)]

    first = read_pages(job_of(path, tmp_path / "out"), Bare(oracle))
    assert {one.score.value for _, one in first.blocks()} == {None}
    assert read_pages(job_of(path, tmp_path / "out"), Bare(oracle, ends_at=1)) == first


def test_a_folder_is_read_into_by_one_process(path, oracle, tmp_path):
    job = job_of(path, tmp_path / "out")
    with (
        files.lock(tmp_path / "out" / ".lock"),
        pytest.raises(AppError, match="another process writes"),
    ):
        read_pages(job, Counting(oracle, ends_at=1))
    assert read_pages(job, Counting(oracle)).coverage.is_full
