"""`knowlip review`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from knowlip.cli.common import AsJson, CorpusArgument, show

if TYPE_CHECKING:
    from knowlip.hcot.review.accuracy import Review, Share


def review(
    corpus: CorpusArgument,
    split: Annotated[str, typer.Option(help="Tiles of which split: train, val, test, or all.")] = "test",
    tiles: Annotated[int, typer.Option(min=1, max=2000, help="How many tiles at most.")] = 60,
    seed: Annotated[int, typer.Option(min=0, help="Fixes which tiles.")] = 0,
    round_: Annotated[
        int | None,
        typer.Option(
            "--round", min=0, help="Statements as they stand after this round; the last without it.", show_default=False
        ),
    ] = None,
    out: Annotated[str, typer.Option("--out", "-o", help="The page, an HTML file.")] = "review.html",
    marks: Annotated[
        list[str] | None,
        typer.Option(help="Instead: read a reviewer's marks.json back; may be repeated.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a page where a person marks slots right or wrong, or read the marks back into the corpus."""
    from knowlip.corpus.store import open_corpus

    opened = open_corpus(corpus)
    if marks:
        from knowlip.hcot.review.accuracy import evaluate
        from knowlip.hcot.review.marks import keep_marks, merged_marks

        rows = merged_marks(opened, marks)
        found = evaluate(opened, rows, round_)
        keep_marks(opened, rows)
        show(asdict(found), as_json, _table(found))
        return
    import os

    from knowlip.core.errors import ConfigError
    from knowlip.core.folder import Folder
    from knowlip.hcot.review.page import page
    from knowlip.hcot.review.sample import SampleSpec

    folder, name = os.path.split(out)
    if not name:
        raise ConfigError(f"--out {out}", "is a folder", "Name the page in it, such as review.html")
    html, counts = page(opened, SampleSpec(split, tiles, seed, round_))
    Folder(folder or ".").write_bytes(name, html.encode())
    show(
        {"out": out, **counts},
        as_json,
        f"{counts['slots']} slots of {counts['statements']} statements of {counts['tiles']} tiles in {out}\n"
        f"next: open it in a browser, then knowlip review {corpus} --marks marks.json",
    )


def _table(found: Review) -> str:
    """Accuracies as aligned lines, the published ones beside them."""
    text = [f"{'':10} {'dimension':14} {'slots, 95 %':^27} {'statements, 95 %':^27} {'unclear':>7}  published"]
    for line in found.accuracy:
        published = ", ".join(f"{kind} {value:.0%}" for kind, value in line.published.items())
        text.append(
            f"{line.schema:10} {line.dimension or 'all':14} {_share(line.slots)} {_share(line.statements)} "
            f"{line.unclear:7}  {published}"
        )
    text += [
        f"{a.reviewers[0]} and {a.reviewers[1]}: {a.slots} slots in common, the same verdict on {a.agree:.0%}, "
        f"kappa {'not defined (one verdict throughout)' if a.kappa is None else f'{a.kappa:.2f}'}"
        for a in found.agreement
    ]
    other = f", {found.other_rounds} of them about statements of another round, not counted here"
    text.append(f"{found.marks} marks in the corpus{other if found.other_rounds else ''}")
    return "\n".join(text)


def _share(share: Share) -> str:
    if share.accuracy is None:
        return f"{'-':^27}"
    return f"{share.accuracy:6.1%} {share.low:6.1%}-{share.high:6.1%} of {share.judged:3}"
