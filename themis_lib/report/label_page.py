"""A page in one file on which a person labels, offline; it saves a file of labels."""

from __future__ import annotations

import base64
import gzip
from typing import Any

import orjson
import pyarrow as pa

from themis_lib.labels.choice_keys import choice_keys
from themis_lib.labels.exchange import LABELS_FORMAT
from themis_lib.labels.session import LabelSession
from themis_lib.labels.shown_items import show
from themis_lib.report.html_media import case_images
from themis_lib.report.html_page import render_page
from themis_lib.storage.contents import digests_in


def label_page(
    session: LabelSession,
    *,
    labeller: str = "",
) -> str:
    """Return the page of the items that a session has not labelled yet.

    `labeller` is the name on it; the person who labels can write another.
    It names neither the run nor the model, and holds no verdict. The draw of the session
    is kept in the store, so that the labels can be imported. Raise `StoreError` if that
    fails.
    """
    session.draw.keep(session.labels)
    question = session.items.question
    content = {
        "file": {
            "format": LABELS_FORMAT,
            "metric_id": question.metric_id,
            "question": question.fingerprint,
            "draw": session.draw.name,
            "method": session.draw.method,
            "seed": session.draw.seed,
        },
        "labeller": labeller,
        "range": None if question.choices else [question.lowest, question.highest],
        "items": _page_items(session),
    }
    # With the time in it, the same session would have another page.
    packed = gzip.compress(orjson.dumps(content), mtime=0)
    return render_page(
        "label.html.jinja",
        scripts=("dom.js", "label.js"),
        data=base64.b64encode(packed).decode(),
        question=question,
        count=len(session.waiting),
    )


def _page_items(session: LabelSession) -> list[dict[str, Any]]:
    contents = session.items.contents
    inputs = [contents[item].get("input") or "null" for item in session.waiting]
    images = case_images(session.items.run.store, pa.table({"input": inputs}))
    found = []
    for item in session.waiting:
        shown = show(session.items, item)
        texts = []
        for text in shown.texts:
            named = digests_in([contents[item].get(text.column) or ""])
            drawn = [images[sha256] for sha256 in sorted(named) if sha256 in images]
            texts.append({"title": text.title, "text": text.text, "images": drawn})
        names = [choice.name for choice in shown.choices or ()]
        # A page has no key to quit.
        found.append(
            {"item": item, "texts": texts, "names": names, "keys": choice_keys(names)}
        )
    return found
