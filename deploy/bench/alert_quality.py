"""`bench alerts`: how good alerts are by what was truly used: precision, recall, days of warning, retractions.
See docs/alert-quality.md.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from typing import Any

from deploy.bench.alert_drive import Platform, day_of
from deploy.bench.alert_score import FACTS, FORECAST, OPENED, Score, limits_off, spells
from deploy.bench.alert_truth import Quality, QualityOptions
from deploy.bench.rig import bench_database, machine_facts, require_local_stack
from deploy.settings import Settings
from deploy.stack.steps import Steps

#: Least precision and recall of confirmed alerts.
GOAL = 0.98


def run_alerts(
    settings: Settings, options: QualityOptions, seeds: int, steps: Steps, *, by_event: bool = False
) -> dict[str, Any]:
    """Run the seeds one after the other, by the event clock or by the wall clock; the report.

    Raises BenchError, DependencyAwayError.
    """
    require_local_stack(settings, "alerts")
    score, off, began = Score(), [], time.monotonic()
    for seed in range(options.seed, options.seed + seeds):
        quality = Quality(replace(options, seed=seed))
        with bench_database(settings, f"bench_{secrets.token_hex(3)}_alerts") as database:
            platform = Platform(settings, database, quality, by_event=by_event)
            with steps.step(f"种子 {seed}", f"Seed {seed}", long=True) as step:
                told = platform.run(step)
            off += [f"{seed}/{code}" for code in limits_off(quality.buildings, platform.limits())]
        found = spells(
            (t.alert_id, t.site_code, t.rule, day_of(quality, t.at), t.to_state, t.note) for t in told
        )
        judged = quality.days - quality.judged_from
        score.add(seed, quality.buildings, quality.judged_from, judged, found)
    report = {
        "sites": options.sites,
        "years": options.years,
        "seeds": seeds,
        "judged_days": options.judged_days,
        "clock": "event" if by_event else "wall",
        **score.report(),
        "limits_off": off,
        "minutes": round((time.monotonic() - began) / 60, 1),
        "machine": machine_facts(),
    }
    return {**report, "missed": missed(report)}


def missed(report: dict[str, Any]) -> list[str]:
    """The goals that are missed. Of a quick look warnings are no goal: its limit is for a part of the year."""
    rules = FACTS if report["judged_days"] else (*FACTS, FORECAST)
    found = [
        f"{rule}: {what} {report[rule][what]:g}, want at least {GOAL:g}"
        for rule in rules
        for what in ("precision", "recall")
        if report[rule][what] is not None and report[rule][what] < GOAL
    ]
    for what, count in (
        ("retractions that nothing explains", report["retracted_unexplained"]),
        ("limits that are not what they truly are", len(report["limits_off"])),
    ):
        if count:
            found.append(f"{count} {what}")
    return found


def quality_table(report: dict[str, Any]) -> str:
    """The report as lines of text."""
    lines = [
        f"{report['sites']} sites, {report['years']} years, {report['seeds']} seeds, {report['clock']} clock"
    ]
    lines.append(f"{'rule':<30}{'right':>7}{'wrong':>7}{'missed':>8}{'precision':>11}{'recall':>9}")
    for rule in (*FACTS, FORECAST, OPENED):
        r = report[rule]
        shares = ["-" if r[what] is None else f"{r[what]:.3f}" for what in ("precision", "recall")]
        lines.append(
            f"{rule:<30}{r['right']:>7}{len(r['wrong']):>7}{len(r['missed']):>8}{shares[0]:>11}{shares[1]:>9}"
        )
    days = (report[rule]["days_of_warning"] for rule in (FORECAST, OPENED))
    confirmed, opened = ("-" if d is None else f"{d:g}" for d in days)
    lines.append(f"days of warning, median: {opened}, confirmed {confirmed}")
    lines.append(f"retracted: {len(report['retracted'])}, unexplained: {report['retracted_unexplained']}")
    for r in report["retracted"]:
        flaw = r["flaw"] or {"kind": "none"}
        lines.append(
            f"  seed {r['seed']} {r['site']} {r['rule']} after {r['retracted'] - r['confirmed']} d: {flaw['kind']}"
        )
    for rule in (*FACTS, FORECAST, OPENED):
        for what in ("wrong", "missed"):
            for r in report[rule][what]:
                lines.append(f"  {what} {rule}: {r}")
    return "\n".join([*lines, *(f"missed: {text}" for text in report["missed"])])
