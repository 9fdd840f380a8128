"""Tables of the user's with known columns: CSV, or any layer of features that pyogrio reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from knowlip.core.errors import SceneError


def read_table(path: Path, columns: Sequence[Sequence[str]], option: str) -> Any:
    """A table as a pandas frame.

    Args:
        columns: Names that each column may have; it gets the first of them.
        option: What the user gave the path to, for the remedy.

    Raises:
        SceneError: Unreadable, or without one of the columns.
    """
    import pandas as pd

    try:
        if path.suffix.lower() == ".csv":
            # "NA" is Namibia's code and part of a name, not an absent value
            table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        else:
            import pyogrio

            table = pyogrio.read_dataframe(path, read_geometry=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise SceneError(path, f"cannot be read as a table ({error})", f"Check {option}") from error
    for names in columns:
        if (found := next((n for n in names if n in table), None)) is None:
            raise SceneError(path, f"has no column {names[0]!r}", f"Check {option}")
        table = table.rename(columns={found: names[0]})
    return table
