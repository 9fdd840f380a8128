"""Marks as the page would write them, from what the page shows."""

import json
import re


def data_of(html):
    """What the page carries."""
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', html, re.DOTALL)[1])


def marks_of(data, reviewer, verdict_of):
    """A `marks.json`; `verdict_of(statement, slot)` gives a verdict or None."""
    marks = [
        {
            "statement_id": said["id"],
            "round": said["round"],
            "slot": slot["name"],
            "start": slot["start"],
            "end": slot["end"],
            "value": slot["value"],
            "verdict": verdict,
            "time": "2026-03-01T12:00:00.000Z",
        }
        for tile in data["tiles"]
        for said in tile["statements"]
        for slot in said["slots"]
        if (verdict := verdict_of(said, slot))
    ]
    return {
        "format": "knowlip-marks",
        "version": 1,
        "corpus": data["corpus"],
        "fingerprint": data["fingerprint"],
        "reviewer": reviewer,
        "marks": marks,
    }
