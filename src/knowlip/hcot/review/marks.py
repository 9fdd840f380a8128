"""Marks that come back from the page: read, checked against the corpus, kept in it, and turned into facts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from knowlip.core.errors import ConfigError
from knowlip.core.statements import Fact
from knowlip.corpus.store import Corpus

RIGHT, WRONG, UNCLEAR = "right", "wrong", "unclear"

_TEXT, _WHOLE = pa.string(), pa.int64()
MARK_SCHEMA = pa.schema(
    [(n, _TEXT) for n in ("tile_id", "statement_id", "schema", "dimension")]
    + [("round", _WHOLE), ("slot", _TEXT), ("start", _WHOLE), ("end", _WHOLE)]
    + [(n, _TEXT) for n in ("value", "verdict", "reviewer")]
    + [("time", pa.timestamp("ms", "UTC"))]
)
"""A row of `marks.parquet`: what one reviewer says of one slot of a statement, as one round wrote it."""

_CHECK_STEP = 5
"""The step that holds what is said against what is known."""
_SOURCE = "reviewer:"


def _printable(name: str) -> str:
    if not name.isprintable():
        raise ValueError("holds characters that cannot be printed")
    return name


def _utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is outside the calendar") from error


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64), AfterValidator(_printable)]


class Mark(BaseModel):
    """What a person says of one slot."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    statement_id: str
    round: Annotated[int, Field(ge=0)]
    slot: str
    start: Annotated[int, Field(ge=0)]
    end: int
    value: str
    verdict: Literal["right", "wrong", "unclear"]
    time: Annotated[AwareDatetime, AfterValidator(_utc)]


class MarksFile(BaseModel):
    """`marks.json`, as the page writes it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal["knowlip-marks"]
    version: Literal[1]
    corpus: str
    fingerprint: str
    reviewer: Name
    marks: tuple[Mark, ...]


def read_marks(path: str | Path) -> MarksFile:
    """Read a file of marks.

    Raises:
        ConfigError: It is not there, or is not what the page writes.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"--marks {path}", f"cannot be read ({error.strerror})", "Check the path") from error
    try:
        return MarksFile.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        reason = f"is not a file of marks ({where + ': ' if where else ''}{first['msg']})"
        raise ConfigError(path, reason, "Give the file that `Save marks` of the page wrote") from error


def mark_rows(corpus: Corpus, path: str | Path) -> list[dict[str, Any]]:
    """Rows of `marks.parquet` from a file of marks, each of a slot that the corpus has.

    Raises:
        ConfigError: The file is none, is of another corpus, or marks a slot that is not there.
        CorpusError: The corpus has no statements.
    """
    file = read_marks(path)
    if file.fingerprint != corpus.info["fingerprint"]:
        raise ConfigError(
            path,
            f"marks another corpus ({file.corpus}, {file.fingerprint[:12]}), "
            f"not this one ({corpus.info['name']}, {corpus.info['fingerprint'][:12]})",
            "Give the corpus that the page was made from",
        )
    said = _said(corpus, {m.statement_id for m in file.marks})
    rows = []
    for mark in file.marks:
        name = f"statement {mark.statement_id} of round {mark.round}"
        statement = said.get((mark.statement_id, mark.round))
        if statement is None:
            raise _stale(path, f"marks {name}, which the corpus does not have")
        slot = {"name": mark.slot, "start": mark.start, "end": mark.end, "value": mark.value}
        if not any(slot.items() <= s.items() for s in statement["slots"]):
            reason = f"marks the slot {mark.slot} of {name} as '{mark.value}' at {mark.start} to {mark.end}"
            raise _stale(path, f"{reason}, which the corpus does not have there")
        about = {n: statement[n] for n in ("tile_id", "schema", "dimension")}
        rows.append(about | mark.model_dump() | {"reviewer": file.reviewer})
    return rows


def _stale(path: str | Path, reason: str) -> ConfigError:
    return ConfigError(path, reason, "Make a new page with `knowlip review`; its statements have changed since")


def _said(corpus: Corpus, statement_ids: set[str]) -> dict[tuple[str, int], dict[str, Any]]:
    """Statements by id and round, as each round wrote them."""
    corpus.statements(0, [])  # says so where there are none
    wanted = pa.array(sorted(statement_ids), pa.string())
    tables = (corpus.changes(r) for r in corpus.rounds())
    rows = (row for t in tables for row in t.filter(pc.is_in(t["statement_id"], wanted)).to_pylist())
    return {(row["statement_id"], row["round"]): row for row in rows}


def known_marks(corpus: Corpus) -> list[dict[str, Any]]:
    """The marks that the corpus holds."""
    if not corpus.folder.exists("marks.parquet"):
        return []
    return corpus.folder.read_table("marks.parquet").cast(MARK_SCHEMA).to_pylist()


def latest(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """One mark a reviewer and slot, the latest; sorted by statement, round, place of the slot and reviewer."""
    kept: dict[tuple[str, int, int, str], dict[str, Any]] = {}
    for row in rows:
        key = (row["statement_id"], row["round"], row["start"], row["reviewer"])
        if key not in kept or kept[key]["time"] <= row["time"]:
            kept[key] = row
    return [kept[key] for key in sorted(kept)]


def merged_marks(corpus: Corpus, paths: Sequence[str | Path]) -> list[dict[str, Any]]:
    """The marks of a corpus with those of some files; the same file twice changes nothing.

    Raises:
        ConfigError: A file is none, or does not fit the corpus.
        CorpusError: The corpus has no statements.
    """
    new = [row for path in paths for row in mark_rows(corpus, path)]
    return latest([*known_marks(corpus), *new])


def keep_marks(corpus: Corpus, rows: Sequence[dict[str, Any]]) -> None:
    """Write `marks.parquet`, and to `facts.parquet` a fact for each slot that a reviewer judged right or wrong.

    Raises:
        OutputError: The corpus cannot be written.
    """
    corpus.folder.write_table("marks.parquet", pa.Table.from_pylist(rows, schema=MARK_SCHEMA))
    _write_facts(corpus, rows)


def fact(row: dict[str, Any]) -> Fact | None:
    """What a mark asserts: whether a slot is right; None where the reviewer cannot tell."""
    if row["verdict"] == UNCLEAR:
        return None
    name = f"review.{row['schema']}.{row['dimension']}.{row['slot']}"
    why = f"{row['reviewer']} marked '{row['value']}' as {row['verdict']} in round {row['round']}"
    return Fact(name, row["verdict"] == RIGHT, _CHECK_STEP, f"{_SOURCE}{row['reviewer']}", 1.0, why=why)


def _write_facts(corpus: Corpus, rows: Sequence[dict[str, Any]]) -> None:
    """Put the reviewers' facts in the place of those there; the others pass by a piece at a time."""
    with corpus.folder.parquet("facts.parquet") as file:
        schema = file.schema_arrow
    marked = [f.row(row["tile_id"]) for row in rows if (f := fact(row)) is not None]
    with corpus.folder.table_writer("facts.parquet", schema) as write:
        for table in corpus.folder.table_batches("facts.parquet"):
            own = pc.fill_null(pc.starts_with(table["source"], _SOURCE), False)
            write(table.filter(pc.invert(own)))
        write(pa.Table.from_pylist(marked, schema=schema))
