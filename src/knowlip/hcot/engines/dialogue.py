"""The chain as a conversation: one turn a step, the picture first, the measured facts as ground of each turn."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from pydantic import BaseModel, ValidationError

from knowlip.corpus.picture import data_url
from knowlip.hcot.engines.cache import Reply
from knowlip.hcot.engines.client import ChatClient, UnansweredError
from knowlip.hcot.engines.description import Claim
from knowlip.hcot.engines.ground import judge
from knowlip.hcot.engines.questions import LAST_STEP, Question, answer_model, answer_schema
from knowlip.hcot.steps.calibration import as_ground
from knowlip.hcot.view import Facts, TileView

TEMPLATES = ("system", *(f"step{k}" for k in range(LAST_STEP + 1)), "again")

_GIVEN = {
    1: ("place.", "coast.", "airport."),
    2: ("society.",),
    3: ("cover.", "pattern.", "boundary.", "road.", "water.", "relief."),
    4: ("target.",),
    5: ("terrain.", "function."),
}
"""Which facts each step is given as data."""

_ENGLISH = re.compile(r"the|of|and|is|are|with|this|there|from|which|that|by|at|or|on|to|it")
_FOREIGN = re.compile(
    r"der|die|das|und|ist|mit|eine?[nr]?|auf|le|la|les|une?|est|sur|dans|avec|et|el|los|las|del|con|que|es|il|di|della|"
    r"che|een|het|van|os|um|uma|do|da|em|som|och|og|ett|på|jest|na|i|w|ve|bir|dan|yang|di"
)
"""Function words: of English, and of other languages in Latin letters that a model may fall into."""


@dataclass
class Conversation:
    """One tile's dialogue so far. Tokens are those of all answers used."""

    messages: list[dict[str, Any]]
    claims: list[Claim] = field(default_factory=list)
    prompt_tokens: int = 0
    completion_tokens: int = 0


async def converse(
    client: ChatClient, view: TileView, measured: Facts, png: bytes, questions: Sequence[Question]
) -> Conversation:
    """Ask a model about one tile; every answer is judged against what was measured before the next step begins.

    Args:
        measured: All facts of the evidence engine.
        questions: What is asked; steps without a question are left out, step 0 unless all steps are asked.

    Raises:
        ServerError: The server is gone, or the budget spent.
        ConfigError: The server refuses the key, the model or the request.
    """
    steps = sorted({q.step for q in questions})
    if steps == list(range(1, LAST_STEP + 1)):
        steps = [0, *steps]
    ground = as_ground(measured)
    talk = Conversation([{"role": "system", "content": _template("system").render()}])
    for step in steps:
        asked = tuple(q for q in questions if q.step == step)
        prompt = _template(f"step{step}").render(data=_data(step, view, measured, talk.claims))
        content: list[dict[str, Any]] = [{"type": "text", "text": prompt}]
        if step == steps[0]:
            content.insert(0, {"type": "image_url", "image_url": {"url": data_url(png)}})
        talk.messages.append({"role": "user", "content": content})
        try:
            answer = await _answer(client, talk, answer_model(step, asked))
        except UnansweredError as error:
            left = [q for q in questions if q.step >= step]
            talk.claims += [_unanswered(q, f"the server {error}") for q in left]
            return talk
        if isinstance(answer, str):
            talk.claims += [_unanswered(q, answer) for q in asked]
            if step == steps[0]:
                # the picture was in this turn, which has no answer
                talk.messages.append({"role": "assistant", "content": "{}"})
            else:
                talk.messages.pop()
            continue
        talk.messages.append({"role": "assistant", "content": answer.model_dump_json()})
        talk.claims += [_claim(q, getattr(answer, q.name), ground) for q in asked]
    return talk


def _unanswered(question: Question, reason: str) -> Claim:
    return Claim(question.step, question.name, question.fact, None, "unanswered", reason)


def _claim(question: Question, value: Any, ground: Facts) -> Claim:
    if value is None:
        return _unanswered(question, "the model does not say")
    outcome, reason = judge(question, value, ground)
    return Claim(question.step, question.name, question.fact, value, outcome, reason)


async def _answer(client: ChatClient, talk: Conversation, model: type[BaseModel]) -> BaseModel | str:
    """A usable answer; or, when the second attempt is none either, why it is not."""
    schema = answer_schema(model)
    messages, reason = list(talk.messages), ""
    for _ in range(2):
        reply = await client.ask(messages, model.__name__, schema)
        talk.prompt_tokens += reply.prompt_tokens
        talk.completion_tokens += reply.completion_tokens
        read = read_answer(reply, model)
        if not isinstance(read, str):
            return read
        reason = read
        # the bad answer is not shown again: it is what it should not go on from
        again = {"type": "text", "text": _template("again").render(reason=reason)}
        last = messages[-1]
        messages = [*messages[:-1], {**last, "content": [*last["content"], again]}]
    return f"no usable answer: {reason}"


def read_answer(reply: Reply, model: type[BaseModel]) -> BaseModel | str:
    """An answer that fits the schema and is in English, or why it is not.

    A fence of Markdown around the JSON is taken off, since some models cannot leave it out.
    """
    if reply.finish == "length":
        return "it was cut off at the limit of its length"
    text = reply.text.strip()
    if fenced := re.fullmatch(r"```(?:json)?\s*(.*?)\s*```", text, re.DOTALL):
        text = fenced[1]
    try:
        answer = model.model_validate_json(text)
    except ValidationError as error:
        return _first(error)
    return answer if is_english(getattr(answer, "note", "")) else "its note is not in English"


def _first(error: ValidationError) -> str:
    # only our own words go back into the prompt, and into the log of claims: not what the model wrote
    detail = error.errors(include_input=False, include_url=False, include_context=False)[0]
    if detail["type"] == "json_invalid":
        return "it is not JSON"
    if detail["type"] == "extra_forbidden":
        return "it has a key that was not asked for"
    return f"{'.'.join(str(p) for p in detail['loc'])}: {detail['msg'][:120]}"


def is_english(text: str) -> bool:
    """Whether a note reads as English: Latin letters, and not more function words of other languages than of English.

    A note without either passes, as nothing can be told of it; answers themselves are English by their schema.
    """
    letters = [c for c in text if c.isalpha()]
    if letters and sum(c.isascii() for c in letters) < 0.8 * len(letters):
        return False
    words = re.findall(r"\w+", text.lower())
    foreign, english = (sum(bool(known.fullmatch(w)) for w in words) for known in (_FOREIGN, _ENGLISH))
    return foreign < 2 or foreign <= english


def _data(step: int, view: TileView, measured: Facts, claims: Sequence[Claim]) -> Mapping[str, Any]:
    """What a step is given: values alone, as data."""
    given: dict[str, Any] = {f.name: f.value for f in measured if f.name.startswith(_GIVEN.get(step, ()))}
    p = view.properties
    if step == 3:
        given["image"] = {
            "band": p.frequency_band,
            "polarisation": (p.polarisations or (None,))[0],
            "incidence_deg": p.incidence_deg,
            "look_azimuth_deg": p.look_azimuth_deg,
        }
    if step in (3, 4):
        given["gsd_m"] = view.gsd_m
    if step == LAST_STEP:
        dropped = [{"question": c.question, "reason": c.reason} for c in claims if c.outcome == "dropped"]
        return {"dropped": dropped, "measured": given}
    return given


@lru_cache(maxsize=1)
def _environment() -> Environment:
    # these are prompts and not pages: data is escaped by tojson, so that none of it can close its <data>
    return Environment(
        loader=PackageLoader("knowlip.hcot.engines", "prompts"), undefined=StrictUndefined, autoescape=False
    )


def _template(name: str) -> Template:
    return _environment().get_template(f"{name}.md")


def template_sources() -> list[str]:
    """The text of all templates, in order."""
    env = _environment()
    return [env.loader.get_source(env, f"{name}.md")[0] for name in TEMPLATES if env.loader is not None]
