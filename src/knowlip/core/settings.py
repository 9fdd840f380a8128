"""Settings from a YAML file and `a.b=c` overrides, refused when a key is not known."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from knowlip.core.errors import ConfigError

Settings = TypeVar("Settings", bound=BaseModel)


def read_settings(kind: type[Settings], path: Path | None, overrides: Sequence[str], example: str) -> Settings:
    """Read a YAML file and apply `a.b=c` overrides.

    Args:
        kind: The pydantic model of the settings, which forbids unknown keys.
        example: An override as a person may write it, for the error that says how.

    Raises:
        ConfigError: The file is missing or not YAML, a key is unknown (the nearest right one is named), or a value is
            out of range.
    """
    content: Any = {}
    if path is not None:
        if not path.is_file():
            raise ConfigError(path, "no such file", "Check the path")
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(path, f"cannot be read as YAML ({error})", "Check the path and its syntax") from error
        if not isinstance(content, dict):
            raise ConfigError(path, "is not a mapping of keys to values", "Write one `key: value` a line")
    for override in overrides:
        key, sign, value = override.partition("=")
        if not sign:
            raise ConfigError(f"--set {override}", "has no '='", f"Write it as --set {example}")
        target = content
        *parents, last = key.split(".")
        for parent in parents:
            target = target.setdefault(parent, {})
            if not isinstance(target, dict):
                raise ConfigError(f"--set {override}", f"'{parent}' is a value, not a section", "Check the key")
        target[last] = yaml.safe_load(value)
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        detail = error.errors()[0]
        where = ".".join(str(p) for p in detail["loc"])
        subject = path or "--set"
        if detail["type"] == "extra_forbidden":
            near = difflib.get_close_matches(where, _keys(kind), 1)
            hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(_keys(kind))}"
            raise ConfigError(subject, f"unknown key '{where}'", hint) from error
        raise ConfigError(subject, f"'{where}': {detail['msg']}", "Correct the value") from error


def _keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    found = []
    for name, info in model.model_fields.items():
        part = info.annotation
        if isinstance(part, type) and issubclass(part, BaseModel):
            found += _keys(part, f"{prefix}{name}.")
        else:
            found.append(prefix + name)
    return found
