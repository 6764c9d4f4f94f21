"""`nengliu bench …`: how fast things go here."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from deploy.bench.parts import DerivePart, Part
from deploy.settings import Clock, load_settings

bench = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@bench.callback()
def _group() -> None:
    """Measure speed, and what the chain withstands."""


@bench.command()
def ingest(
    readings: Annotated[int, typer.Option(min=1, help="Readings a round.")] = 1_000_000,
    per_message: Annotated[int, typer.Option(min=1, max=5000, help="Readings a message.")] = 50,
    gateways: Annotated[int, typer.Option(min=1, max=200, help="Gateways, each with a connection.")] = 8,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds, of which the median counts.")] = 3,
    window: Annotated[int, typer.Option(min=1, help="Unacknowledged messages a gateway may have.")] = 200,
    writers: Annotated[int, typer.Option(min=1, max=6, help="Writer processes.")] = 1,
    bridges: Annotated[int, typer.Option(min=1, max=6, help="Bridge processes.")] = 1,
    part: Annotated[
        Part,
        typer.Option(help="chain: publish to committed row; bridge: publish to Kafka; writer: Kafka to row."),
    ] = Part.CHAIN,
    repeats: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the messages that are sent once more.")
    ] = 0.0,
    replay: Annotated[bool, typer.Option(help="Then send every round's messages once more.")] = False,
    latency: Annotated[
        bool, typer.Option(help="Then measure publish to durable acknowledgement at half of the speed.")
    ] = False,
    least_ratio: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Ratio to the limit below which the exit code is 1. Default: 0.25 for messages of 50 readings or more "
            "on their way into the database, else any.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Readings a second from MQTT publish to committed row, and the ratio to a bare COPY of the same rows."""
    from deploy.bench.ingest import IngestOptions, run_ingest

    options = IngestOptions(
        readings=readings,
        per_message=per_message,
        gateways=gateways,
        rounds=rounds,
        window=window,
        writers=writers,
        bridges=bridges,
        part=part,
        repeat_every=round(1 / repeats) if repeats else 0,
        replay=replay and part is Part.CHAIN,
        latency=latency and part is Part.CHAIN,
    )
    report = run_ingest(load_settings(), options, lambda text: print(text, file=sys.stderr))  # noqa: T201
    if as_json:
        typer.echo(json.dumps(report))
    else:
        typer.echo(json.dumps({k: v for k, v in report.items() if k != "rounds"}, indent=2))
    if least_ratio is None:
        least_ratio = 0.25 if per_message >= 50 and part is not Part.BRIDGE else 0.0
    if report["lost"] or report["doubled"] or report["wrong"] or report["ratio"] < least_ratio:
        raise typer.Exit(1)


@bench.command()
def derive(
    part: Annotated[
        list[DerivePart] | None,
        typer.Option(help="What to measure; may be given several times. Default: all, one after the other."),
    ] = None,
    scale: Annotated[
        float, typer.Option(min=0.0001, max=4, help="Share of the 11,258 buildings, and of the 1,000 points.")
    ] = 1.0,
    interval: Annotated[
        int, typer.Option(min=60, help="Seconds between readings of the 1,000 points.")
    ] = 3600,
    tries: Annotated[int, typer.Option(min=1, max=200, help="Late readings.")] = 50,
    workers: Annotated[int, typer.Option(min=1, max=16, help="Processes that derive.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """How fast readings become energy at every level: a city's day (of 15 minutes) against the limit of the database,
    one late reading in a year, one more day with a month and with 3 years stored, and the memory of a worker.

    In databases of its own, which are removed; whole, it takes about half an hour and 15 GB. Exit 1 where a goal is
    missed or a figure is wrong.
    """
    from deploy.bench.derive import DeriveBench, run_derive
    from deploy.stack.steps import Steps

    if 3600 % interval:
        raise typer.BadParameter("want seconds of which an hour is a multiple", param_hint="--interval")
    settings = load_settings()
    options = DeriveBench.scaled(scale, interval, tries, workers)
    report = run_derive(settings, options, part or list(DerivePart), Steps(settings.language))
    typer.echo(json.dumps(report) if as_json else json.dumps(report, indent=2))
    if report["missed"]:
        raise typer.Exit(1)


@bench.command()
def assess(
    scale: Annotated[
        float,
        typer.Option(min=0.0001, max=4, help="Share of the 11,258 buildings, and of the 100 that change."),
    ] = 1.0,
    tries: Annotated[
        int, typer.Option(min=1, max=200, help="Readings that put a building over its limit.")
    ] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """How long it takes to assess a city with 3 years of days, with forecasts, rules and all; what 100 changed
    buildings cost of that; and how soon a reading over a limit is an alert, and a mail in a server's hands.

    In a database of its own, which is removed; whole, it takes about a quarter of an hour and 8 GB. Exit 1 where a goal
    is missed or a figure is wrong.
    """
    from deploy.bench.assess import AssessBench, run_assess
    from deploy.stack.steps import Steps

    settings = load_settings()
    report = run_assess(settings, AssessBench.scaled(scale, tries), Steps(settings.language))
    typer.echo(json.dumps(report) if as_json else json.dumps(report, indent=2))
    if report["missed"]:
        raise typer.Exit(1)


@bench.command()
def alerts(
    sites: Annotated[int, typer.Option(min=1, max=2000, help="Buildings.")] = 100,
    years: Annotated[int, typer.Option(min=2, max=4, help="Years of hours; the last one is judged.")] = 2,
    seeds: Annotated[int, typer.Option(min=1, max=50, help="Runs, each with another seed.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="The first seed.")] = 1,
    clock: Annotated[
        Clock,
        typer.Option(help="Assess by the wall clock, moved from day to day, or by the event clock (faster)."),
    ] = Clock.WALL,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """How good alerts are by what was truly used, with data that is late, missing or wrong: precision, recall, days of
    warning, and what explains each retraction.

    In databases of its own, which are removed. Exit 1 where precision or recall of alerts about what was used is below
    0.98, or nothing explains a retraction.
    """
    from deploy.bench.alert_quality import quality_table, run_alerts
    from deploy.bench.alert_truth import QualityOptions
    from deploy.logging import quiet_logging
    from deploy.stack.steps import Steps

    settings = load_settings()
    quiet_logging()
    options = QualityOptions(sites, years, seed)
    report = run_alerts(settings, options, seeds, Steps(settings.language), by_event=clock is Clock.EVENT)
    typer.echo(json.dumps(report) if as_json else quality_table(report))
    if report["missed"]:
        raise typer.Exit(1)


@bench.command()
def edge(
    meters: Annotated[int, typer.Option(min=1, max=5000, help="Simulated DL/T 645 meters.")] = 200,
    buses: Annotated[int, typer.Option(min=1, max=64, help="Buses that they are spread over.")] = 4,
    baud: Annotated[int, typer.Option(min=300, help="Speed of each bus's line, 8E1.")] = 2400,
    delay_s: Annotated[float, typer.Option(min=0, help="From request to answer, in a meter.")] = 0.03,
    most_ratio: Annotated[
        float, typer.Option(min=1, help="Ratio to what the line allows over which the exit code is 1.")
    ] = 1.2,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Seconds that an edge collector takes to poll all meters once, and the ratio to what the line speed allows."""
    from deploy.bench.edge import EdgeOptions, run_edge

    report = run_edge(EdgeOptions(meters, min(buses, meters), baud, delay_s))
    typer.echo(json.dumps(report) if as_json else json.dumps(report, indent=2))
    if report["missing"] or report["wrong"] or report["ratio"] > most_ratio or report["rss_mb"] >= 100:
        raise typer.Exit(1)


@bench.command()
def meter(
    meters: Annotated[
        int, typer.Option(min=1, max=5000, help="Simulated DL/T 645 meters, in one process.")
    ] = 200,
    buses: Annotated[int, typer.Option(min=1, max=64, help="Buses that they are spread over.")] = 4,
    baud: Annotated[int, typer.Option(min=0, help="Speed of each bus's line, 8E1; 0: no limit.")] = 2400,
    turnaround_s: Annotated[float, typer.Option(min=0, help="From request to answer, in a meter.")] = 0.03,
    rounds: Annotated[int, typer.Option(min=1, help="How often every meter is asked.")] = 2,
    most_ratio: Annotated[
        float, typer.Option(min=1, help="Ratio to what the line allows over which the exit code is 1.")
    ] = 1.05,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Seconds in which simulated meters answer, the ratio to what the line speed allows, and the processor time."""
    from deploy.bench.meter import MeterBench, run_meter

    report = run_meter(MeterBench(meters, min(buses, meters), baud, turnaround_s, rounds))
    typer.echo(json.dumps(report) if as_json else json.dumps(report, indent=2))
    if report["wrong"] or (report["ratio"] or 1.0) > most_ratio or (baud and report["cores"] >= 1):
        raise typer.Exit(1)


@bench.command()
def fleet(
    sites: Annotated[int, typer.Option(min=1, help="Sites of the simulated fleet.")] = 50,
    days: Annotated[int, typer.Option(min=1, help="Days of quarter-hours.")] = 14,
    seed: Annotated[int, typer.Option(help="The same seed makes the same readings.")] = 1,
    scenario: Annotated[
        str | None, typer.Option(metavar="FILE", help="With the faults of a scenario; default: without.")
    ] = None,
    least_per_s: Annotated[
        float, typer.Option(min=0, help="Readings a second below which the exit code is 1.")
    ] = 300_000.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Readings a second of one core that a fleet is made at, JSON and all, its ratio to encoding alone, and memory."""
    from deploy.bench.fleet import FleetBench, run_fleet

    options = FleetBench(seed=seed, sites=sites, days=days, scenario=scenario)
    report = run_fleet(options, lambda text: print(text, file=sys.stderr))  # noqa: T201
    typer.echo(json.dumps(report) if as_json else json.dumps(report, indent=2))
    if report["readings_per_s"] < least_per_s:
        raise typer.Exit(1)


@bench.command()
def soak(
    minutes: Annotated[float, typer.Option(min=0.1, help="How long messages are sent.")] = 30.0,
    rate: Annotated[float, typer.Option(min=1, help="Messages a second, of one reading each.")] = 4000.0,
    gateways: Annotated[int, typer.Option(min=1, max=200, help="Gateways, each with a connection.")] = 8,
    every_s: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks at the memory.")] = 5.0,
    chart: Annotated[Path | None, typer.Option(help="Write the curves to this SVG file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Memory of bridge, writer and worker over a long time of small messages; 1 where it grows or a reading is lost."""
    from deploy.bench.soak import SoakOptions, run_soak
    from deploy.bench.soak_chart import soak_chart
    from deploy.stack.steps import Steps

    settings = load_settings()
    options = SoakOptions(minutes, rate, gateways, every_s)
    report, curves = run_soak(settings, options, Steps(settings.language))
    if chart is not None:
        chart.write_text(soak_chart(curves), encoding="utf-8")
    typer.echo(json.dumps(report) if as_json else json.dumps(report, indent=2))
    if report["lost"] or not all(r["flat"] for r in report["rss"].values()):
        raise typer.Exit(1)


@bench.command()
def notify(
    count: Annotated[int, typer.Option(min=20, max=1_000_000, help="Notifications.")] = 10_000,
    workers: Annotated[int, typer.Option(min=1, max=8, help="Worker processes.")] = 3,
    fail_share: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of tries that a server spoils.")
    ] = 0.2,
    kill_every_s: Annotated[
        float, typer.Option(min=0.5, help="Seconds between two kill -9 of a worker, more or less.")
    ] = 3.0,
    seed: Annotated[int, typer.Option(help="The same seed draws the same faults.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Notifications through mail and web servers that fail at random, while workers are killed: 1 where one is lost, or
    a repeat carries another key.
    """
    from deploy.bench.notify import NotifyBench, run_notify
    from deploy.stack.steps import Steps

    settings = load_settings()
    options = NotifyBench(count, workers, fail_share, kill_every_s, seed)
    report = run_notify(settings, options, Steps(settings.language))
    typer.echo(json.dumps(report) if as_json else json.dumps(report, indent=2))
    if not report["passed"]:
        raise typer.Exit(1)


@bench.command()
def hostile(
    messages: Annotated[int, typer.Option(min=1, max=5_000_000, help="Hostile messages.")] = 1_000_000,
    seed: Annotated[int, typer.Option(help="The same seed sends the same messages.")] = 1,
    gateways: Annotated[int, typer.Option(min=3, max=200, help="Gateways, each with a connection.")] = 8,
    good_share: Annotated[float, typer.Option(min=0, max=10, help="Good messages to a hostile one.")] = 0.25,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Wrong, broken and ill-meant messages of every class among good ones: whether each becomes what it must."""
    from deploy.bench.hostile import HostileOptions, run_hostile
    from deploy.stack.steps import Steps

    settings = load_settings()
    options = HostileOptions(messages, seed, gateways, good_share)
    report = run_hostile(settings, options, Steps(settings.language))
    typer.echo(json.dumps(report) if as_json else json.dumps(report, indent=2, ensure_ascii=False))
    if not report["passed"]:
        raise typer.Exit(1)


@bench.command()
def shapes(
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder of metered buildings; the default: the four that are shipped with nengliu."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the pictures to shapes.svg in this folder.")] = None,
    year: Annotated[int, typer.Option(min=2004, max=2100, help="The year that is compared.")] = 2014,
    sites: Annotated[int, typer.Option(min=2, max=1000, help="Generated buildings.")] = 60,
    pictures: Annotated[int, typer.Option(min=1, max=200, help="Pairs of weeks in the picture.")] = 20,
    seed: Annotated[int, typer.Option(help="Of the fleet, and of the weeks that are drawn.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Whether generated loads look like metered ones: two-sample figures, and weeks of both side by side."""
    from deploy.bench.fleet_shapes import ShapesOptions, run_shapes
    from deploy.bench.fleet_shapes_chart import shapes_table, weeks_chart
    from deploy.replay import shipped_data

    report, pairs = run_shapes(ShapesOptions(data or shipped_data(), year, seed, sites, pictures))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "shapes.svg").write_text(weeks_chart(pairs), encoding="utf-8")
    typer.echo(json.dumps(report) if as_json else shapes_table(report))


@bench.command()
def forecast(
    data: Annotated[Path, typer.Argument(help="Folder of metered buildings: BUILDING/electricity/YEAR.csv.")],
    from_year: Annotated[
        int, typer.Option(help="First year that is forecast; three years before it are history.")
    ] = 2012,
    to_year: Annotated[int, typer.Option(help="Last year that is forecast.")] = 2015,
    cases: Annotated[
        bool, typer.Option(help="Also little history, steps, gaps and a moving festival.")
    ] = True,
    chart: Annotated[Path | None, typer.Option(help="Write errors and coverage to this SVG file.")] = None,
    bands: Annotated[
        bool, typer.Option(help="Only fit the table of bands to all of the data and print it as CSV.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """How far the year-end forecast is off at every month's end, how often its band holds, and three plain forecasts.

    Each building is forecast by parameters and bands from other buildings and years before. Exit 1 where a plain
    forecast is better, or the band from p10 to p90 does not hold the year 80% (+-5) of the time.
    """
    from deploy.bench.forecast import ForecastBench, bands_table, forecast_table, run_forecast
    from deploy.bench.forecast_chart import forecast_chart

    options = ForecastBench(data, range(from_year, to_year + 1), ZoneInfo(load_settings().timezone), cases)
    if bands:
        typer.echo(bands_table(options))
        return
    report = run_forecast(options, lambda text: print(text, file=sys.stderr))  # noqa: T201
    if chart is not None:
        chart.write_text(forecast_chart(report), encoding="utf-8")
    typer.echo(json.dumps(report, ensure_ascii=False) if as_json else forecast_table(report))
    if report["missed"]:
        raise typer.Exit(1)


@bench.command()
def warnings(
    data: Annotated[
        Path, typer.Argument(help="Folder of metered buildings: BUILDING/electricity/YEAR.csv, from 2009 on.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Which buildings were over their use of 2011 in 2014 and 2015, and when the forecast or a run rate said so."""
    from deploy.bench.warnings import WarningsBench, run_warnings, warnings_table

    options = WarningsBench(data, ZoneInfo(load_settings().timezone))
    report = run_warnings(options, lambda text: print(text, file=sys.stderr))  # noqa: T201
    typer.echo(json.dumps(report, ensure_ascii=False) if as_json else warnings_table(report))
