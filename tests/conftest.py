import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]


def data_folder():
    """Where the real scenes are: KNOWLIP_DATA, or ../shared/data beside the project; None when neither is there."""
    candidates = [Path(os.environ["KNOWLIP_DATA"])] if os.environ.get("KNOWLIP_DATA") else [PROJECT.parent / "shared" / "data"]
    return next((c for c in candidates if c.is_dir()), None)


@pytest.fixture(scope="session")
def real_data():
    folder = data_folder()
    if folder is None:
        pytest.skip("needs real scenes: set KNOWLIP_DATA, or put them in ../shared/data beside the project")
    return folder


@pytest.fixture(autouse=True)
def own_log_folder(monkeypatch, tmp_path_factory):
    """The command's log goes to a temporary folder, in this process and in those that tests start."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "state"))
