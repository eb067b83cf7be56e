# SPDX-License-Identifier: Apache-2.0
"""Extracted values with the field names of two services, for programs that read those already.

Azure Document Intelligence: one result with all documents, pages counted from 1, polygons in pixels. LandingAI: one
result for each document, pages counted from 0, boxes as shares of the page. What these formats have no place for, such
as a conflict or a failed rule, is among their warnings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from finesight.apps.document.markdown import document_markdown
from finesight.apps.document.records import Document, ReadPage
from finesight.apps.evidence import Evidence, Found
from finesight.apps.extract.records import Extraction
from finesight.apps.extract.schema import Node, Schema, kind_of

__all__ = ["Extracted", "azure_json", "landing_json"]

Extracted: TypeAlias = tuple[str, Extraction, Sequence[ReadPage]]
"""Name of a document, its values and its pages."""

_VALUES = (
    (bool, "boolean", "valueBoolean"),
    (int, "integer", "valueInteger"),
    (float, "number", "valueNumber"),
)
_PARAGRAPH = "\n\n"


def azure_json(extracted: Sequence[Extracted], schema: Schema, model: str) -> dict[str, Any]:
    """All documents as a result of Azure Document Intelligence.

    `content` has the text of all pages. The confidence of a document is the least of its values. A value without a
    score has no confidence.

    Args:
        extracted: the documents.
        schema: of their values.
        model: its name.
    """
    content, pages, documents, warnings = "", [], [], []
    for name, extraction, read in extracted:
        start = len(content)
        for page in read:
            span = {"offset": len(content), "length": len(page.text)}
            content += page.text + _PARAGRAPH
            sides = {"width": page.size.width, "height": page.size.height, "unit": "pixel"}
            pages.append({"pageNumber": page.number, **sides, "spans": [span]})
        fields = _Azure(extraction, schema, read).fields()
        scores = [one.score.value for one in extraction.fields.values()]
        known = [one for one in scores if one is not None]
        documents.append(
            {
                "docType": str(schema.root.get("title", "document")),
                "spans": [{"offset": start, "length": len(content) - start}],
                "fields": fields,
                **({"confidence": round(min(known), 4)} if known else {}),
            }
        )
        warnings += [
            {"code": code, "message": message, "target": f"{name}: {path}"}
            for code, path, message in _doubts(extraction, read)
        ]
    result = {
        "modelId": model,
        "stringIndexType": "unicodeCodePoint",
        "content": content,
        "pages": pages,
        "documents": documents,
        "warnings": warnings,
    }
    return {"status": "succeeded", "analyzeResult": result}


def landing_json(extracted: Sequence[Extracted]) -> list[dict[str, Any]]:
    """Each document as a result of LandingAI: every place of a value is a chunk.

    Args:
        extracted: the documents.
    """
    return [_landing(*one) for one in extracted]


def _doubts(extraction: Extraction, pages: Sequence[ReadPage]) -> Iterator[tuple[str, str, str]]:
    """Kind, path and words of everything that is in doubt."""
    for path, found in extraction.fields.items():
        if found.problems or found.status in ("conflict", "invalid", "unread"):
            yield found.status, path, "; ".join(found.problems) or found.status
    for check in extraction.checks:
        if check.outcome == "fail":
            yield "x-check", check.path, f"the rule {check.rule} fails with {dict(check.used)}"
    for problem in extraction.problems:
        yield "problem", "", problem
    for page in pages:
        if page.status in ("partly", "unreadable"):
            yield page.status, page.title, "; ".join(page.problems) or page.status


def _by_place(pages: Sequence[ReadPage]) -> dict[tuple[int, int], ReadPage]:
    """Pages by the index of their file in the document, and their index in the file."""
    media: dict[str, int] = {}
    return {(media.setdefault(page.source, len(media)), page.index): page for page in pages}


class _Azure:
    """Puts the values of one document into fields of Azure, in the structure of the schema."""

    def __init__(self, extraction: Extraction, schema: Schema, pages: Sequence[ReadPage]) -> None:
        self._extraction, self._schema = extraction, schema
        self._pages = _by_place(pages)

    def fields(self) -> dict[str, Any]:
        return self._members(self._extraction.data, self._schema.resolved(self._schema.root), "")

    def _members(self, data: Any, node: Node, path: str) -> dict[str, Any]:
        """Fields of an object; without named properties, those that the data have."""
        given = data if isinstance(data, dict) else {}
        parts = self._schema.properties(node)
        rest = node.get("additionalProperties", {})
        return {
            key: self._field(given.get(key), parts.get(key, rest), f"{path}.{key}" if path else key)
            for key in (parts or given)
        }

    def _field(self, data: Any, node: Any, path: str) -> dict[str, Any]:
        plain = self._schema.resolved(node)
        kind = kind_of(plain)
        if path in self._extraction.fields:
            return self._leaf(self._extraction.fields[path], plain)
        if kind == "object":
            return {"type": "object", "valueObject": self._members(data, plain, path)}
        if kind == "array":
            items = plain.get("items", {})
            listed = enumerate(data if isinstance(data, list) else ())
            values = [self._field(one, items, f"{path}[{at}]") for at, one in listed]
            return {"type": "array", "valueArray": values}
        return {"type": "string"}

    def _leaf(self, found: Found[Any], node: Node) -> dict[str, Any]:
        """A value with its type; an absent one has the type alone."""
        kind, key = "string", "valueString"
        if node.get("format") == "date":
            kind, key = "date", "valueDate"
        for each, name, member in _VALUES:
            if isinstance(found.value, each):
                kind, key = name, member
                break
        field: dict[str, Any] = {"type": kind}
        if found.value is not None:
            field[key] = found.value
        if found.raw:
            field["content"] = found.raw
        if regions := [one for place in found.evidence if (one := self._region(place))]:
            field["boundingRegions"] = regions
        if found.score.value is not None:
            field["confidence"] = round(found.score.value, 4)
        return field

    def _region(self, place: Evidence) -> dict[str, Any] | None:
        page = self._pages.get((place.media, place.page or 0))
        if page is None or place.box is None:
            return None
        left, top, right, bottom = (
            round(edge, 1) for edge in (place.box.x1, place.box.y1, place.box.x2, place.box.y2)
        )
        corners = [left, top, right, top, right, bottom, left, bottom]
        return {"pageNumber": page.number, "polygon": corners}


def _landing(name: str, extraction: Extraction, pages: Sequence[ReadPage]) -> dict[str, Any]:
    first = pages[0].number if pages else 1
    at = _by_place(pages)
    chunks: dict[Evidence, dict[str, Any]] = {}

    def chunk(place: Evidence) -> str:
        page = at.get((place.media, place.page or 0))
        if place not in chunks:
            number = 0 if page is None else page.number - first
            shares = None if page is None else _shares(place, page)
            chunks[place] = {
                "chunk_id": f"c{len(chunks) + 1}",
                "chunk_type": "text",
                "text": place.quote,
                "grounding": [] if shares is None else [{"page": number, "box": shares}],
            }
        return str(chunks[place]["chunk_id"])

    def leaf(found: Found[Any]) -> dict[str, Any]:
        score = found.score.value
        return {
            "value": found.value,
            "chunk_references": [chunk(one) for one in found.evidence],
            "confidence": None if score is None else round(score, 4),
        }

    doubts = list(_doubts(extraction, pages))
    return {
        "markdown": document_markdown(Document(tuple(pages))),
        "extraction": extraction.data,
        "extraction_metadata": _parallel(extraction.data, extraction.fields, leaf, ""),
        "chunks": list(chunks.values()),
        "metadata": {
            "filename": name,
            "warnings": [
                {"code": "nonconformant_output", "msg": f"{path}: {kind}: {message}".lstrip(": ")}
                for kind, path, message in doubts
            ],
        },
        "errors": [
            {
                "page_num": page.number - first,
                "error": "; ".join(page.problems) or page.status,
                "error_code": page.status,
            }
            for page in pages
            if page.status in ("partly", "unreadable")
        ],
    }


def _parallel(data: Any, fields: Mapping[str, Found[Any]], leaf: Any, path: str) -> Any:
    """The structure of the data with a record in the place of every value."""
    if path in fields:
        return leaf(fields[path])
    if isinstance(data, dict):
        return {
            key: _parallel(one, fields, leaf, f"{path}.{key}" if path else key)
            for key, one in data.items()
        }
    if isinstance(data, list):
        return [_parallel(one, fields, leaf, f"{path}[{at}]") for at, one in enumerate(data)]
    return None


def _shares(place: Evidence, page: ReadPage) -> dict[str, float] | None:
    if place.box is None:
        return None
    width, height = page.size.width, page.size.height
    return {
        "l": round(place.box.x1 / width, 5),
        "t": round(place.box.y1 / height, 5),
        "r": round(place.box.x2 / width, 5),
        "b": round(place.box.y2 / height, 5),
    }
