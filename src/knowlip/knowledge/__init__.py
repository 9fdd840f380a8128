"""What is known about a place without its pixels. Each source is optional, offline, and names version and licence."""

from __future__ import annotations

from knowlip.knowledge.airports import Airports
from knowlip.knowledge.climate import Climate
from knowlip.knowledge.coast import Coast
from knowlip.knowledge.places import Places
from knowlip.knowledge.source import Source

BUILT_IN: dict[str, Source] = {s.name: s for s in (Places(), Coast(), Airports(), Climate())}
"""The sources that need no file of the user's."""
