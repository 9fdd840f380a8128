"""Answers of a model, kept by the content of what was asked: for resuming, and for replay without a server."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from knowlip.core.folder import Folder

Messages = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Reply:
    """A model's answer as it came.

    Attributes:
        finish: Why it ended: `stop`, or `length` where it ran into the limit.
    """

    text: str
    finish: str
    prompt_tokens: int
    completion_tokens: int


def question_key(model: str, messages: Messages, schema: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """SHA-256 of all that an answer depends on: model, every word and picture of the conversation, schema, settings."""
    content = json.dumps([model, list(messages), schema, settings], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class AnswerCache:
    """A folder of answers, one small JSON file each. Slow disks and object stores are waited for in threads."""

    folder: Folder

    async def get(self, key: str) -> Reply | None:
        """The answer of this key; None where there is none, or what is there is no answer."""
        # a look into a local folder takes less than the way to a thread
        return self._read(key) if self.folder.is_local else await asyncio.to_thread(self._read, key)

    async def put(self, key: str, reply: Reply) -> None:
        """Keep an answer. Raises OutputError where the folder cannot be written."""
        content = json.dumps(asdict(reply), ensure_ascii=False).encode("utf-8", "replace")
        await asyncio.to_thread(self.folder.write_bytes, _name(key), content)

    def _read(self, key: str) -> Reply | None:
        try:
            return Reply(**json.loads(self.folder.read_bytes(_name(key))))
        except (OSError, ValueError, TypeError):
            return None


def _name(key: str) -> str:
    return f"{key[:2]}/{key}.json"
