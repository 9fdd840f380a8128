"""The engines that ask a model: `vlm` about everything, `hybrid` only where the evidence is weak."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from knowlip.core.errors import KnowlipError
from knowlip.hcot.engines.client import ChatClient
from knowlip.hcot.engines.description import Claim, Description, described
from knowlip.hcot.engines.dialogue import converse, template_sources
from knowlip.hcot.engines.ground import as_fact
from knowlip.hcot.engines.picture import picture
from knowlip.hcot.engines.questions import LAST_STEP, QUESTIONS, Question, answer_model, weak_questions
from knowlip.hcot.rules.settle import SETTLED
from knowlip.hcot.steps import calibration, run_chain
from knowlip.hcot.view import Facts, TileView

Task = TypeVar("Task")


def prompts_version() -> str:
    """SHA-256 of all that a model is told and asked, to twelve digits."""
    schemas = [
        answer_model(k, tuple(q for q in QUESTIONS if q.step == k)).model_json_schema() for k in range(LAST_STEP + 1)
    ]
    return hashlib.sha256(json.dumps([template_sources(), schemas]).encode()).hexdigest()[:12]


async def describe(view: TileView, client: ChatClient, only_weak: bool) -> Description:
    """Facts and statements of one tile: measured first, then with what a model may add.

    Sentences are written from calibrated facts by the same code as for the evidence engine; none of a model's own
    words reaches them.

    Args:
        only_weak: Ask only about dimensions whose statement is missing or weak.

    Raises:
        ServerError: The server is gone, or the budget spent.
        ConfigError: The server refuses the key, the model or the request.
    """
    config = client.config
    measured, png = await asyncio.to_thread(lambda: (run_chain(view), picture(view.pixels, config.picture_px)))
    sure = described(view.tile_id, measured)
    questions = weak_questions(sure.statements, config.weak_below) if only_weak else QUESTIONS
    if not questions:
        return sure
    talk = await converse(client, view, measured, png, questions)
    facts, claims = await asyncio.to_thread(calibrated, measured, talk.claims, config.model)
    return described(view.tile_id, facts, tuple(claims), talk.prompt_tokens, talk.completion_tokens)


def calibrated(measured: Facts, claims: Sequence[Claim], model: str) -> tuple[Facts, list[Claim]]:
    """The facts of a tile with those claims that calibration leaves standing, and the claims with their outcome.

    Step 5 runs once more, over what was measured and the accepted claims together, which are held against the
    measurements; terrain and function follow from what stands, unless a claim of them does.

    Args:
        measured: The calibrated facts of the evidence engine.
    """
    questions: dict[str, Question] = {q.name: q for q in QUESTIONS}
    accepted = {
        c.question: as_fact(questions[c.question], c.value, model)
        for c in claims
        if c.outcome == "accepted" and c.value is not None
    }
    facts = Facts(f for f in measured if f.name not in calibration.DERIVED)
    facts.add(accepted.values())
    facts = calibration.calibrate(facts, measured)
    settled = []
    for claim in claims:
        fact = accepted.get(claim.question)
        if fact is not None and (fact.name not in facts or facts[fact.name].value != fact.value):
            record = SETTLED + fact.name
            why = facts[record].why if record in facts else "what it is about was dropped"
            claim = replace(claim, outcome="dropped", reason=f"calibration: {why}")
        settled.append(claim)
    return facts, settled


async def describe_scenes(
    tasks: Sequence[Task],
    views: Callable[[Task], Iterator[TileView]],
    write: Callable[[Task, list[tuple[str, Description]]], None],
    client: ChatClient,
    only_weak: bool,
) -> None:
    """Describe the tiles of scenes, as many at a time as the client's concurrency asks for, across scenes.

    Args:
        views: The tiles of a scene, read one by one.
        write: Called with a scene's descriptions, in the order of its tiles, as soon as all are there.
    """
    # twice as many tiles as requests, so that measuring some of them goes on while others wait for their answers
    places = asyncio.Semaphore(2 * client.config.concurrency)

    async def one(view: TileView) -> tuple[str, Description]:
        try:
            return view.tile_id, await describe(view, client, only_weak)
        finally:
            places.release()

    async def finish(task: Task, tiles: list[asyncio.Task[tuple[str, Description]]]) -> None:
        write(task, list(await asyncio.gather(*tiles)))

    try:
        async with client, asyncio.TaskGroup() as group:
            for task in tasks:
                waiting, tiles = views(task), []
                await places.acquire()
                while (view := await asyncio.to_thread(next, waiting, None)) is not None:
                    tiles.append(group.create_task(one(view)))
                    await places.acquire()
                places.release()
                group.create_task(finish(task, tiles))
    except BaseExceptionGroup as errors:
        raise _first_error(errors) from None


def _first_error(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Of errors that came together, one for the person in front, ours before others."""
    leaves: list[BaseException] = []
    for error in errors.exceptions:
        leaves.append(_first_error(error) if isinstance(error, BaseExceptionGroup) else error)
    return next((e for e in leaves if isinstance(e, KnowlipError)), leaves[0])
