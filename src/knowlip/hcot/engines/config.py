"""Settings of the engines that ask a vision-language model."""

from __future__ import annotations

import os
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from knowlip.core.errors import ConfigError


class VlmConfig(BaseModel):
    """How a model is reached and asked. The key is not among the settings: it comes from OPENAI_API_KEY alone.

    Attributes:
        base_url: Of an OpenAI-compatible server, such as `http://localhost:8000/v1`; OPENAI_BASE_URL without it.
        model: The model's name at that server.
        concurrency: Requests under way at a time.
        timeout_s: Longest silence of the server within one request.
        retries: Further attempts after an overload, a server error, a broken connection or a hang.
        max_tokens: Longest answer.
        temperature: 0 for the likeliest answer.
        picture_px: Longest side of the picture; larger tiles are averaged down.
        price_in, price_out: Price of a million tokens of prompt and of answer, in any currency.
        max_cost: No request is sent once those answered have cost as much.
        weak_below: `hybrid` asks about statements whose confidence is lower.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    base_url: str = ""
    model: str = ""
    concurrency: int = Field(default=32, ge=1, le=1024)
    timeout_s: float = Field(default=120.0, gt=0)
    retries: int = Field(default=5, ge=0, le=20)
    max_tokens: int = Field(default=700, ge=16)
    temperature: float = Field(default=0.0, ge=0, le=2)
    picture_px: int = Field(default=768, ge=28, le=4096)
    price_in: float = Field(default=0.0, ge=0)
    price_out: float = Field(default=0.0, ge=0)
    max_cost: float | None = Field(default=None, ge=0)
    weak_below: float = Field(default=0.6, ge=0, le=1)

    @model_validator(mode="after")
    def _a_limit_needs_prices(self) -> Self:
        if self.max_cost is not None and not (self.price_in or self.price_out):
            raise ValueError("max_cost needs price_in and price_out, per million tokens")
        return self

    def identity(self) -> dict[str, object]:
        """The settings that change what is written; the server's address, speed and price do not."""
        return self.model_dump(include={"model", "max_tokens", "temperature", "picture_px", "weak_below"})


def server(config: VlmConfig) -> tuple[str, SecretStr]:
    """Address and key of the server.

    Raises:
        ConfigError: No address is given. None is assumed: pictures would go to a company without anybody's wish.
    """
    url = config.base_url or os.environ.get("OPENAI_BASE_URL", "")
    if not url:
        raise ConfigError(
            "--base-url", "says no server for the model", "For example: --base-url http://localhost:8000/v1"
        )
    if not url.startswith(("http://", "https://")):
        raise ConfigError("--base-url", "is not an http address", "For example: --base-url http://localhost:8000/v1")
    # servers of one's own usually want no key, but the client does
    return url, SecretStr(os.environ.get("OPENAI_API_KEY") or "none")
