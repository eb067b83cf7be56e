# SPDX-License-Identifier: Apache-2.0
"""Read a book with instant answers into a folder, in a process that can be killed: `read_book.py BOOK OUT`."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.documents import InstantReader
from finesight.apps.document.job import Job, read_pages
from finesight.apps.document.pages import find_pages
from finesight.apps.document.read import ReadOptions
from finesight.apps.document.records import Document


def read_into(book: Path, folder: Path) -> Document:
    """Read the pages that the folder does not have."""
    addresses = find_pages([book])
    done = len(list((folder / "pages").glob("0*.json")))
    job = Job(addresses, ReadOptions(), "instant", folder=folder)
    job.check()
    return read_pages(job, InstantReader(done + 1, len(addresses)))


if __name__ == "__main__":
    read_into(Path(sys.argv[1]), Path(sys.argv[2]))
