"""A model folder handed on: a benchmark's figures into its card, and all of it to the Hugging Face Hub."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from knowlip.core.errors import ModelError
from knowlip.model.embedder import load_embedder

FILES = ("config.json", "model.safetensors", "tokenizer.json", "README.md")


def push_model(folder: Path, repo_id: str, private: bool = True) -> str:
    """Upload a model folder in one commit.

    Args:
        folder: As `knowlip pretrain` leaves it; it is opened first, so that what does not load is not uploaded.
        repo_id: `owner/name`; made where it is not there.
        private: Whether a repository made here is.

    Returns:
        The commit's address.

    Raises:
        ModelError: The folder holds no model, or the Hub refuses.
    """
    load_embedder(folder)
    api = HfApi()
    try:
        repo = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        commit = api.upload_folder(
            repo_id=repo,
            repo_type="model",
            folder_path=folder,
            allow_patterns=list(FILES),
            commit_message="Add the model",
        )
    except (HfHubHTTPError, ValueError, OSError) as error:
        why = str(error).strip().splitlines()[0]
        raise ModelError(
            folder, f"was not uploaded ({why})", "Log in with `hf auth login`, or check the name"
        ) from error
    return str(commit.commit_url)


def add_figures(folder: Path, results: Path) -> int:
    """Record a benchmark's figures of a model in its configuration, and write its card anew.

    Args:
        folder: A model folder.
        results: Folder that `knowlip bench run` wrote.

    Returns:
        How many figures the card now has.

    Raises:
        ModelError: The folder holds no model, or the benchmark does not know this one.
    """
    model = load_embedder(folder).model
    file = results / "results.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        rows = [r for r in found["rows"] if r["model"] == f"knowlip:{folder.name}"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(file, "holds no benchmark results", "Make them with `knowlip bench run`") from error
    if not rows:
        raise ModelError(file, f"has no figures of {folder.name}", "Run `knowlip bench run` with this model")
    model.config = replace(model.config, training={**model.config.training, "figures": rows})
    (folder / "config.json").write_text(model.config.to_json(), encoding="utf-8")
    (folder / "README.md").write_text(model.generate_model_card().content, encoding="utf-8")
    return len(rows)
