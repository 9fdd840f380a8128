import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from pipeline_fixtures import _described, _trained, described, simulated_scenes, trained  # noqa: F401 - fixtures for all tests

PROJECT = Path(__file__).parents[1]

# the same examples every time, however slow the machine
settings.register_profile(
    "project",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("project")


@pytest.fixture(scope="session")
def real_data():
    """Folder of real scenes: KNOWLIP_DATA, or ../shared/data beside the project."""
    named = os.environ.get("KNOWLIP_DATA")
    folder = Path(named) if named else PROJECT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the real scenes: {folder} is not there (set KNOWLIP_DATA)")
    return folder


@pytest.fixture(autouse=True)
def own_log_folder(monkeypatch, tmp_path_factory):
    """The command's log goes to a temporary folder, in this process and in those that tests start."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "state"))
