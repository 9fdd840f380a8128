"""The command's entry: verbs, and what every error looks like."""

from __future__ import annotations

import logging
import os
import signal
import sys
import warnings
from typing import Annotated, Any

import typer

from knowlip import __version__
from knowlip.cli import annotate, bench, corpus, demo, model, pretrain, review, runs, scenes, search, simulate
from knowlip.core.errors import KnowlipError

INTERRUPTED = 130

app = typer.Typer(
    name="knowlip",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Georeferenced radar scenes into a described, searchable archive.",
)
app.command("simulate")(simulate.simulate)
app.add_typer(scenes.app, name="scenes")
app.add_typer(corpus.app, name="corpus")
app.command("annotate")(annotate.annotate)
app.command("review")(review.review)
app.command("pretrain")(pretrain.pretrain)
app.add_typer(model.app, name="model")
app.add_typer(runs.app, name="runs")
app.add_typer(bench.app, name="bench")
app.command("index")(search.index)
app.command("search")(search.search)
app.command("demo")(demo.demo)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"knowlip {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Georeferenced radar scenes into a described, searchable archive."""


def main(args: list[str] | None = None) -> None:
    """Run the command; a person's mistake is one line and exit code 2, an interrupt exits with 130."""
    signal.signal(signal.SIGTERM, _terminate)
    _start_log()
    # rasterio says so of every chip, and of every product in sensor geometry
    warnings.filterwarnings("ignore", message="Dataset has no geotransform")
    try:
        code: Any = app(args, prog_name="knowlip", standalone_mode=False)
        if code == INTERRUPTED:
            # how typer ends a command that Ctrl-C reached
            raise KeyboardInterrupt
    except KnowlipError as error:
        _fail(str(error), 2)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted; the same command goes on where it stopped", INTERRUPTED)
    except typer.TyperException as error:
        message, context = " ".join(error.format_message().split()), getattr(error, "ctx", None)
        if not message:
            # a group without a verb, which has shown its help
            sys.exit(2)
        _fail(f"{message.rstrip('.')}. See `{context.command_path if context else 'knowlip'} --help`", 2)
    except BrokenPipeError:
        # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        from knowlip.core.folder import cannot_write

        logging.getLogger("knowlip").exception("failed")
        _fail(str(cannot_write(str(error.filename or "the output"), error)), 2)
    except Exception as error:
        logging.getLogger("knowlip").exception("failed")
        _fail(
            f"internal error: {type(error).__name__}: {error}. Please report it; the traceback is in {_log_path()}", 1
        )
    sys.exit(code if isinstance(code, int) else 0)


def _terminate(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _fail(message: str, code: int) -> None:
    logging.getLogger("knowlip").error(message)
    print(f"error: {message}" if code != INTERRUPTED else message, file=sys.stderr)
    sys.stderr.flush()
    sys.exit(code)


def _log_path() -> str:
    from platformdirs import user_log_path

    return str(user_log_path("knowlip") / "knowlip.log")


def _start_log() -> None:
    """Log what the package says, and each command and its end, to the user's log folder where that can be."""
    from logging.handlers import RotatingFileHandler

    logger = logging.getLogger("knowlip")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        os.makedirs(os.path.dirname(_log_path()), exist_ok=True)
        handler: logging.Handler = RotatingFileHandler(_log_path(), maxBytes=2_000_000, backupCount=2, delay=True)
    except OSError:
        handler = logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(message)s"))
    logger.addHandler(handler)
    logger.info("knowlip %s: %s", __version__, " ".join(sys.argv[1:]))


if __name__ == "__main__":
    main()
