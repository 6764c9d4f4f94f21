"""`nengliu simulate score`: what the platform made of a simulated run, against the truth of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

_STRIPS = 6


def score_command(
    truth: Annotated[Path, typer.Argument(metavar="TRUTH", help="The run's folder, or its truth.sqlite.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; its keys: docs/truth.md.")] = False,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Draw it, too: by kind, and the worst points.")
    ] = None,
    points: Annotated[int, typer.Option(min=0, help="List so many of the worst points.")] = 10,
    peer: Annotated[
        str | None, typer.Option("--beside", metavar="PEER", help="Another platform's figures beside: myems.")
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(
            help="An hour is wrong beyond two steps of the display and so many percent of its energy."
        ),
    ] = 1.0,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until everything is derived.")] = False,
) -> None:
    """Compare the platform with the truth of a simulated run: energy, hours, faults found, false alarms.

    Exit 1 where the platform has nothing of the run.
    """
    from deploy.score import score_truth, why_nothing
    from deploy.score_show import show_score
    from deploy.settings import load_settings
    from deploy.stack.steps import Steps
    from metering.errors import SettingError
    from simulators.score.chart import score_chart
    from simulators.score.hours import Tolerance
    from simulators.score.peers import beside, peer_figures
    from simulators.score.run import ScoreOptions

    settings = load_settings()
    steps = Steps(settings.language)
    if peer is not None:
        peer_figures(peer)
    if picture is not None and picture.suffix != ".svg":
        raise SettingError(f"--picture {picture}: it is an SVG; give it a name that ends with .svg")
    options = ScoreOptions(Tolerance(percent=tolerance), strips=_STRIPS if picture else 0)
    score = score_truth(settings, steps, truth, options, wait=wait)
    if score.is_empty:
        typer.echo(why_nothing(settings, steps, truth), err=True)
        raise typer.Exit(1)
    if picture is not None:
        picture.write_text(score_chart(score, settings.language), encoding="utf-8")
    joined = None if peer is None else beside(score, peer)
    if as_json:
        data = score.as_json()
        if joined is not None:
            data["beside"] = {"peer": peer, "labels": [b.as_json() for b in joined]}
        typer.echo(json.dumps(data, ensure_ascii=False))
    else:
        show_score(score, settings.language, worst=points, peer=peer, joined=joined)
