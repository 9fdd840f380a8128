import logging
import signal
from dataclasses import dataclass

import pytest

from knowlip.cli.app import main


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def refusal(self):
        """The one line of a refused command."""
        assert self.code == 2, self.err
        assert self.out == ""
        assert self.err.endswith("\n")
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("error: ")
        assert "Traceback" not in self.err
        return self.err.removeprefix("error: ").strip()


@pytest.fixture
def knowlip(capfd):
    """Run the command in this process, as a person would."""
    logger = logging.getLogger("knowlip")
    before, terminate = list(logger.handlers), signal.getsignal(signal.SIGTERM)

    def run(*args):
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(a) for a in args])
        out, err = capfd.readouterr()
        return Ran(ended.value.code or 0, out, err)

    yield run
    signal.signal(signal.SIGTERM, terminate)
    for handler in [h for h in logger.handlers if h not in before]:
        logger.removeHandler(handler)
        handler.close()
