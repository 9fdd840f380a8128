"""What a model is asked, step by step, and the schema that its answers have to fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from knowlip.core.statements import Schema, Statement

Terrain = Literal["open water", "coastal", "mountainous", "hilly", "river plain", "plain"]
Function = Literal[
    "open water",
    "woodland",
    "farmland",
    "residential",
    "dense urban",
    "industrial",
    "harbour front",
    "airport",
    "open ground",
    "transport",
]
Cover = Literal["water", "woodland", "farmland", "building", "road", "bare"]

LAST_STEP = 5


@dataclass(frozen=True)
class Question:
    """One thing that a model is asked.

    Attributes:
        name: Key of the answer.
        fact: The fact that it would be.
        serves: The statements that rest on it.
        taken: Whether an answer that nothing speaks against may become a fact. Names, numbers and land cover are not
            taken: a model can only agree with them.
        answer: Type of the answer.
        ask: The question in words, as the schema's description.
    """

    name: str
    step: int
    fact: str
    serves: tuple[tuple[Schema, str], ...]
    answer: Any
    ask: str
    taken: bool = True


QUESTIONS = (
    Question("country", 1, "place.country", (), str | None, "Country that the tile lies in", False),
    Question("city", 1, "place.city", (), str | None, "Nearest city", False),
    Question(
        "airport_in_frame",
        1,
        "society.airport_expected",
        (("landform", "functionality"),),
        bool,
        "Is an airport here?",
        False,
    ),
    Question(
        "settlement",
        2,
        "society.settlement",
        (),
        Literal["metropolis", "city", "town", "village"] | None,
        "Kind of settlement around",
        False,
    ),
    Question(
        "water",
        3,
        "water.kind",
        (("landform", "water"), ("target", "region")),
        Literal["none", "sea", "river", "lake", "pond", "water body"],
        "The largest water body in the picture",
    ),
    Question(
        "main_cover", 3, "cover.main", (("landform", "distribution"),), Cover, "What covers most of the ground", False
    ),
    Question(
        "buildings",
        3,
        "building.density",
        (("landform", "buildings"),),
        Literal["no", "sparse", "scattered", "many", "dense"],
        "How densely buildings stand",
        False,
    ),
    Question(
        "main_roads",
        3,
        "road.lines",
        (("landform", "roads"),),
        Literal["none", "one", "two", "several"],
        "Main roads that can be made out",
    ),
    Question(
        "layout",
        3,
        "layout.kind",
        (("landform", "layout"),),
        Literal["uniform", "linear", "grid-like", "patchy", "irregular"],
        "How the ground is laid out",
    ),
    Question(
        "boundaries",
        3,
        "boundary.kind",
        (("landform", "boundary"),),
        Literal["sharp", "clear", "gradual"] | None,
        "How the parts of the ground border on each other; null if there is one part only",
    ),
    Question(
        "ships",
        4,
        "target.count",
        (("target", "count"), ("target", "location"), ("target", "feature")),
        int,
        "Number of ships; 0 if there are none",
        False,
    ),
    Question("aircraft", 4, "target.aircraft", (), int, "Number of aircraft; 0 if there are none", False),
    Question(
        "longest_ship_m",
        4,
        "target.longest_m",
        (("target", "size"), ("target", "category")),
        float | None,
        "Length of the longest ship in metres; null if there are none",
        False,
    ),
    Question(
        "arrangement",
        4,
        "target.arrangement",
        (("target", "distribution"),),
        Literal["in a line", "clustered", "scattered", "close together", "far apart"] | None,
        "How the ships lie to each other; null if there are fewer than two",
    ),
    Question("terrain", 5, "terrain.kind", (("landform", "terrain"),), Terrain, "Kind of terrain"),
    Question("function", 5, "function.main", (("landform", "functionality"),), Function, "What the area serves as"),
)


def weak_questions(said: Sequence[Statement], below: float) -> tuple[Question, ...]:
    """The questions about landform statements that are missing or weak, and about target statements that are weak.

    A tile without target statements has no targets, which is what the detector measured, and not a lack of evidence.

    Args:
        below: Statements of lower confidence are weak.
    """
    sure = {(s.schema, s.dimension) for s in said if s.confidence >= below}
    there = {(s.schema, s.dimension) for s in said}
    return tuple(q for q in QUESTIONS if any(d not in sure and (d[0] == "landform" or d in there) for d in q.serves))


@cache
def answer_model(step: int, questions: tuple[Question, ...]) -> type[BaseModel]:
    """The answer to one step: first a note in the model's own words, then a value for each question.

    Ranges are left to calibration: servers differ in which keywords of JSON schema they take.
    """
    fields: dict[str, Any] = {"note": (str, Field(description="One or two English sentences on what you see"))}
    fields |= {q.name: (q.answer, Field(description=q.ask)) for q in questions}
    return create_model(f"step_{step}", __config__=ConfigDict(extra="forbid", strict=True), **fields)


@cache
def answer_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of an answer; not to be changed."""
    return model.model_json_schema()
