"""Read JSON metadata of products: a bounded size, dotted paths, one clear error."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from knowlip.core.errors import SceneError
from knowlip.scenes.xml import parse_moment

MAX_JSON_BYTES = 16 << 20
REMEDY = "Fetch the product's metadata again"


@dataclass(frozen=True)
class Json:
    """A JSON object of a product's metadata, whose readings name the file where they fail.

    Attributes:
        subject: The file, for errors.
    """

    content: Any
    subject: str

    def maybe(self, path: str) -> Any:
        """The value at a dotted path such as `collects.0.id`; None where there is none."""
        value = self.content
        for part in path.split("."):
            if isinstance(value, dict):
                value = value.get(part)
            elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
                value = value[int(part)]
            else:
                return None
        return value

    def text(self, path: str) -> str | None:
        """The text at a path, None where there is none."""
        value = self.maybe(path)
        return value.strip() or None if isinstance(value, str) else None

    def number(self, path: str) -> float | None:
        """The finite number at a path, None where there is none."""
        value = self.maybe(path)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None

    def needed(self, path: str) -> float:
        """The finite number at a path.

        Raises:
            SceneError: There is none.
        """
        number = self.number(path)
        if number is None:
            raise SceneError(self.subject, f"has no number at {path}", REMEDY)
        return number

    def vector(self, path: str) -> tuple[float, float, float] | None:
        """Three finite numbers at a path, None where there are none."""
        found = [self.number(f"{path}.{i}") for i in range(3)]
        x, y, z = found
        return None if x is None or y is None or z is None else (x, y, z)

    def moment(self, path: str) -> datetime | None:
        """The time at a path, UTC, None where there is none."""
        text = self.text(path)
        return parse_moment(text) if text else None


def parse_json(text: str | bytes, subject: object) -> Json:
    """The content of a JSON document that is an object.

    Raises:
        SceneError: It is none, or too large.
    """
    if len(text) > MAX_JSON_BYTES:
        raise SceneError(subject, f"is larger than {MAX_JSON_BYTES >> 20} MiB", REMEDY)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SceneError(subject, f"is not readable JSON ({error})", REMEDY) from error
    if not isinstance(content, dict):
        raise SceneError(subject, "holds no JSON object", REMEDY)
    return Json(content, str(subject))


def read_json(path: Path) -> Json:
    """The content of a JSON file.

    Raises:
        SceneError: It cannot be read.
    """
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise SceneError(path, f"is larger than {MAX_JSON_BYTES >> 20} MiB", REMEDY)
        return parse_json(path.read_bytes(), path)
    except OSError as error:
        raise SceneError(path, f"cannot be read ({error.strerror})", REMEDY) from error
