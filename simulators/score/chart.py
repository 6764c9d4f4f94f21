"""The score as a picture: SVG by hand, see docs/decisions/report-charts.md."""

from __future__ import annotations

from simulators.score.result import Score


def score_chart(score: Score, language: str) -> str:
    """To come."""
    raise NotImplementedError
