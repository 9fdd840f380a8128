"""Make an Acquisition of what a reader found, with a reason for what it did not."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from knowlip.core.errors import SceneError
from knowlip.core.scene import BAND_RANGES_GHZ, Acquisition


def completed(
    fields: dict[str, Any], missing: str, subject: object, unknown: dict[str, str] | None = None
) -> Acquisition:
    """An Acquisition, each of whose nulls has a reason.

    Args:
        fields: What is known.
        missing: Reason for what is not in `fields`.
        subject: The file, for errors.
        unknown: Other reasons, by field.

    Raises:
        SceneError: A value is out of range.
    """
    known = {k: v for k, v in fields.items() if v is not None}
    reasons = dict(unknown or {})
    for name in Acquisition.model_fields:
        if name not in ("unknown", "simulated", "place") and name not in known:
            reasons.setdefault(name, missing)
    try:
        return Acquisition.model_validate(known | {"unknown": {k: v for k, v in reasons.items() if k not in known}})
    except ValidationError as error:
        detail = error.errors()[0]
        where = ".".join(str(part) for part in detail["loc"])
        reason = f"states a {where} that is none: {detail['msg']}"
        raise SceneError(subject, reason, "Fetch the product again") from error


def band_of(frequency_ghz: float) -> str | None:
    """The radar band letter of a frequency, None outside all."""
    return next((b for b, (low, high) in BAND_RANGES_GHZ.items() if low <= frequency_ghz < high), None)
