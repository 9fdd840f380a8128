"""Read XML metadata of products without trusting them: no entities, no DTD, a bounded size, one clear error.

Source: OWASP XML External Entity Prevention; the guards are those of defusedxml.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from numpy.typing import NDArray

from knowlip.core.errors import SceneError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAX_XML_BYTES = 64 << 20
REMEDY = "Fetch the product again; what it says here cannot be used"


@dataclass(frozen=True)
class Xml:
    """An element of a product's metadata, whose readings name the file where they fail.

    Attributes:
        subject: The file, for errors.
    """

    element: Element
    subject: str

    def all(self, path: str) -> list[Xml]:
        """The elements at a path; namespaces are left out with `{*}`."""
        return [Xml(e, self.subject) for e in self.element.findall(path)]

    def find(self, path: str) -> Xml:
        """The first element at a path.

        Raises:
            SceneError: There is none.
        """
        found = self.element.find(path)
        if found is None:
            raise SceneError(self.subject, f"has no {path}", REMEDY)
        return Xml(found, self.subject)

    def maybe(self, path: str) -> str | None:
        """The text at a path, None where there is none."""
        found = self.element.find(path)
        text = "" if found is None else (found.text or "").strip()
        return text or None

    def text(self, path: str) -> str:
        """The text at a path.

        Raises:
            SceneError: There is none.
        """
        text = self.maybe(path)
        if text is None:
            raise SceneError(self.subject, f"has no {path}", REMEDY)
        return text

    def number(self, path: str) -> float:
        """The finite number at a path.

        Raises:
            SceneError: There is none.
        """
        return float(self.numbers(path, 1)[0])

    def whole(self, path: str) -> int:
        """The whole number at a path.

        Raises:
            SceneError: There is none.
        """
        return int(self.number(path))

    def numbers(self, path: str, count: int | None = None) -> NDArray[np.float64]:
        """The finite numbers at a path, separated by blanks.

        Raises:
            SceneError: There are none, or not `count`.
        """
        try:
            values = np.array(self.text(path).split(), np.float64)
        except ValueError:
            values = np.array([np.nan])
        if values.size == 0 or not np.isfinite(values).all() or (count is not None and values.size != count):
            raise SceneError(self.subject, f"has no number at {path}", REMEDY)
        return values

    def moment(self, path: str) -> datetime:
        """The time at a path, UTC.

        Raises:
            SceneError: There is none.
        """
        moment = parse_moment(self.text(path))
        if moment is None:
            raise SceneError(self.subject, f"has no time at {path}", REMEDY)
        return moment


def parse_moment(text: Any) -> datetime | None:
    """An ISO 8601 time as UTC; None where it is none."""
    try:
        moment = datetime.fromisoformat(str(text).strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def parse_xml(data: bytes, subject: object) -> Xml:
    """The root of an XML document.

    Raises:
        SceneError: Too large, not well-formed, or with a DTD or entities.
    """
    if len(data) > MAX_XML_BYTES:
        raise SceneError(subject, f"is larger than {MAX_XML_BYTES >> 20} MiB", REMEDY)
    try:
        root = fromstring(data, forbid_dtd=True)
    except DefusedXmlException as error:
        reason = f"declares a DTD or entities ({type(error).__name__}), which metadata of products never need"
        raise SceneError(subject, reason, "Do not use this file") from error
    except (SyntaxError, ValueError, LookupError) as error:
        raise SceneError(subject, f"is not well-formed XML ({error})", REMEDY) from error
    return Xml(root, str(subject))
