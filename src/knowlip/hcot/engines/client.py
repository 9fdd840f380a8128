"""One conversation partner: any server that speaks the OpenAI chat protocol, asked for answers in a JSON schema.

Retries with exponential backoff, jitter and Retry-After are the `openai` package's own. Added here: answers kept by
content, a bound on requests under way and on money, an end to every hang, and what to do with servers that know no
schemas, give nonsense, or are gone.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from knowlip.core.errors import ConfigError, KnowlipError
from knowlip.hcot.engines.cache import AnswerCache, Messages, Reply, question_key
from knowlip.hcot.engines.config import VlmConfig, server

if TYPE_CHECKING:
    from openai import AsyncOpenAI

GIVE_UP_AFTER = 10
"""Requests in a row without an answer after which a server that has answered before is taken for gone."""

LONGEST_BACKOFF_S = 8.0
"""Longest wait of the `openai` package between attempts, where the server names none."""

_MODES = ("json_schema", "json_object", "text")
"""Ways to ask for JSON, strictest first; a server that refuses one is asked in the next."""

_CUSTOMERS_FAULT = "insufficient_quota", "billing"


class UnansweredError(Exception):
    """One request got no answer after all attempts; the tile it was for is described without it."""


class ServerError(KnowlipError):
    """A server that gives no answers at all, or a budget that is spent; the run can be taken up again."""


@dataclass
class Usage:
    """What this run asked for. Tokens and cost are of requests that were sent, not of answers kept from before."""

    requests: int = 0
    from_cache: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def cost(self, config: VlmConfig) -> float:
        """Price of the tokens, in the currency of the prices."""
        return (self.prompt_tokens * config.price_in + self.completion_tokens * config.price_out) / 1e6


@dataclass
class ChatClient:
    """Asks a server, and never twice the same. Use as `async with`.

    Args:
        cache: Where answers are kept.
        replay: Answer from the cache only; no server and no `openai` package is needed.

    Raises:
        ConfigError: No server is named, or the extra `vlm` is not installed.
    """

    config: VlmConfig
    cache: AnswerCache
    replay: bool = False
    usage: Usage = field(default_factory=Usage)

    def __post_init__(self) -> None:
        self._mode = 0
        self._unanswered = 0
        self._places = asyncio.Semaphore(self.config.concurrency)
        self._key = ""
        self._api: AsyncOpenAI | None = None
        if not self.config.model:
            raise ConfigError("--vlm-model", "names no model", "Give the name under which the server knows it")
        if not self.replay:
            url, key = server(self.config)
            self._key = key.get_secret_value()
            self._api = _api(url, self._key, self.config)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._api is not None:
            await self._api.close()

    async def ask(self, messages: Messages, name: str, schema: Mapping[str, Any]) -> Reply:
        """The model's answer, from the cache where it has been asked before.

        Args:
            messages: The conversation in the protocol's own form, pictures as `data:` URLs.
            name: Name of the schema.
            schema: JSON schema of the answer; it is asked for, but the answer is not checked here.

        Raises:
            UnansweredError: No answer after all attempts.
            ServerError: The server never answered or is gone, the budget is spent, or a replay misses an answer.
            ConfigError: The server refuses the key, the model or the request.
        """
        c = self.config
        settings = {"max_tokens": c.max_tokens, "temperature": c.temperature}
        key = question_key(c.model, messages, schema, settings)
        if (kept := await self.cache.get(key)) is not None:
            self.usage.from_cache += 1
            return kept
        if self._api is None:
            raise ServerError(
                self.cache.folder.path(),
                f"holds no answer of {c.model} to a question of this corpus ({key[:12]})",
                "Use the cache, model and settings of the run to replay, or leave --replay out",
            )
        async with self._places:
            return await self._sent(self._api, key, messages, name, schema, settings)

    async def _sent(
        self,
        api: AsyncOpenAI,
        key: str,
        messages: Messages,
        name: str,
        schema: Mapping[str, Any],
        settings: Mapping[str, Any],
    ) -> Reply:
        self._stop_when_spent()
        try:
            # a server that sends a byte now and then is never silent for long, and never done
            async with asyncio.timeout((self.config.retries + 1) * (self.config.timeout_s + LONGEST_BACKOFF_S)):
                reply = await self._in_a_mode(api, messages, name, schema, settings)
        except TimeoutError:
            raise self._no_answer("did not finish its answer in time") from None
        except UnansweredError as error:
            raise self._no_answer(str(error)) from error
        # kept before it is counted: the count may end the run, and what is paid for must not be lost with it
        await self.cache.put(key, reply)
        self._unanswered = 0
        self.usage.requests += 1
        self.usage.prompt_tokens += reply.prompt_tokens
        self.usage.completion_tokens += reply.completion_tokens
        return reply

    def _stop_when_spent(self) -> None:
        spent, limit = self.usage.cost(self.config), self.config.max_cost
        if limit is not None and spent >= limit:
            raise ServerError(
                f"--max-cost {limit:g}", f"is reached ({spent:.4f})", "Raise it and run again; answers are kept"
            )

    def _no_answer(self, reason: str) -> Exception:
        """Whether one tile goes without, or the run ends."""
        self._unanswered += 1
        if self.usage.requests and self._unanswered < GIVE_UP_AFTER:
            return UnansweredError(reason)
        return ServerError(
            "the model's server", reason, "Check --base-url and the server, and run again; answers are kept"
        )

    async def _in_a_mode(
        self, api: AsyncOpenAI, messages: Messages, name: str, schema: Mapping[str, Any], settings: Mapping[str, Any]
    ) -> Reply:
        """Ask in the strictest way that the server takes, and remember which that is."""
        from openai import BadRequestError, UnprocessableEntityError

        refusal = ""
        for mode in range(self._mode, len(_MODES)):
            try:
                reply = await self._once(api, messages, _MODES[mode], name, schema, settings)
            except (BadRequestError, UnprocessableEntityError) as error:
                refusal = refusal or self._said(error)
                continue
            self._mode = max(self._mode, mode)
            return reply
        raise ConfigError(
            "the model's server", f"refuses the request: {refusal}", "Check that the model takes pictures of this size"
        )

    async def _once(
        self,
        api: AsyncOpenAI,
        messages: Messages,
        mode: str,
        name: str,
        schema: Mapping[str, Any],
        settings: Mapping[str, Any],
    ) -> Reply:
        import openai

        form: dict[str, Any] = {}
        if mode == "json_schema":
            wanted = {"name": name, "strict": True, "schema": schema}
            form = {"response_format": {"type": "json_schema", "json_schema": wanted}}
        else:
            messages = _with_schema(messages, schema)
            form = {"response_format": {"type": "json_object"}} if mode == "json_object" else {}
        request = {"model": self.config.model, "messages": messages, **settings, **form}
        try:
            # not chat.completions.create, which walks all messages for things to convert, at twice the cost of sending
            return _reply(await api.post("/chat/completions", cast_to=object, body=request))
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise ConfigError(
                "OPENAI_API_KEY", f"is not accepted by the server: {self._said(error)}", "Set the right key"
            ) from None
        except openai.NotFoundError as error:
            raise ConfigError(
                f"--vlm-model {self.config.model}",
                f"is not known to the server: {self._said(error)}",
                "Check the model's name, and that --base-url ends as the server's manual says, usually in /v1",
            ) from None
        except (openai.BadRequestError, openai.UnprocessableEntityError):
            raise
        except openai.RateLimitError as error:
            if any(word in str(error) for word in _CUSTOMERS_FAULT):
                raise ConfigError("the model's server", self._said(error), "Pay, or use another server") from None
            raise UnansweredError("is overloaded") from None
        except openai.APITimeoutError:
            # which aiohttp also says of an address where nobody listens
            raise UnansweredError("cannot be reached, or does not answer in time") from None
        except openai.APIConnectionError:
            raise UnansweredError("cannot be reached, or breaks off") from None
        except openai.APIError as error:
            raise UnansweredError(f"fails: {self._said(error)}") from None
        except ValueError:
            raise UnansweredError("gives answers that are not of the OpenAI protocol") from None

    def _said(self, error: Exception) -> str:
        """What the server said, short, and without the key, which some servers repeat."""
        said = str(getattr(error, "message", error))
        return (said.replace(self._key, "…") if self._key else said)[:200]


def _api(url: str, key: str, config: VlmConfig) -> AsyncOpenAI:
    try:
        from openai import AsyncOpenAI, DefaultAioHttpClient
    except ImportError as error:
        raise ConfigError(
            "--engine vlm", "needs the openai package, which is not installed", "pip install 'sar-knowlip[vlm]'"
        ) from error
    # aiohttp takes half the processor time of the default transport
    transport = DefaultAioHttpClient(timeout=config.timeout_s)
    return AsyncOpenAI(
        base_url=url, api_key=key, timeout=config.timeout_s, max_retries=config.retries, http_client=transport
    )


def _with_schema(messages: Messages, schema: Mapping[str, Any]) -> Messages:
    """The last message with the schema in words; many chat templates take no two messages of one role in a row."""
    *before, last = messages
    words = {"type": "text", "text": f"Answer in JSON of this schema:\n{json.dumps(schema)}"}
    content = last["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
    return [*before, {**last, "content": [*parts, words]}]


def _reply(completion: Any) -> Reply:
    """Raises ValueError where the server's JSON is not a chat completion."""
    try:
        choice, usage = completion["choices"][0], completion.get("usage") or {}
        text, finish = choice["message"].get("content") or "", choice.get("finish_reason") or "stop"
        tokens = [int(usage.get(n) or 0) for n in ("prompt_tokens", "completion_tokens")]
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        raise ValueError("not a chat completion") from error
    if not isinstance(text, str):
        raise ValueError("not a text")
    return Reply(text, str(finish), *tokens)
