"""The chart of a mail: a PNG of its size, whatever of the figures is missing."""

from __future__ import annotations

import io
from datetime import date, timedelta

import pytest
from PIL import Image

from alerts.notify.chart import HEIGHT, WIDTH, pace_png
from alerts.report_data import Assessed, Day, QuotaYear

LIMIT = (192, 57, 43)
BAND = (247, 224, 189)


def quota_year(
    days: int = 240, limit: float | None = 36_000.0, assessed: bool = True, unit: str = "kWh"
) -> QuotaYear:
    first = date(2014, 1, 1)
    used = [Day(first + timedelta(days=n), 110.0, 0.99) for n in range(days)]
    last = first + timedelta(days=days - 1)
    seen = [Assessed(last, 110.0 * days, limit, 37_000.0, 39_000.0, 41_000.0, "warning", 0.99)]
    shown = seen if assessed and days else []
    return QuotaYear("S", "S", None, None, "01", unit, 2014, limit, "", used, shown, [], [1 / 12] * 12, [])


def picture(q: QuotaYear, as_of: date | None = None) -> Image.Image:
    png = pace_png(q, as_of)
    assert png.startswith(b"\x89PNG")
    assert len(png) < 60_000
    return Image.open(io.BytesIO(png)).convert("RGB")


def has(image: Image.Image, colour: tuple[int, int, int]) -> bool:
    """Whether some pixel is of about a colour."""
    colours = image.getcolors(1 << 24) or []
    return any(max(abs(a - b) for a, b in zip(found, colour, strict=True)) < 12 for _, found in colours)


def test_it_shows_use_limit_and_forecast():
    image = picture(quota_year())
    assert image.size == (WIDTH, HEIGHT)
    assert has(image, LIMIT)
    assert has(image, BAND)


@pytest.mark.parametrize(
    ("q", "limit", "band"),
    [
        (quota_year(limit=None), False, True),
        (quota_year(assessed=False), True, False),
        (quota_year(days=0), True, False),
        (quota_year(days=1), True, True),
        (quota_year(days=365), True, False),
        (quota_year(unit="m3"), True, True),
    ],
)
def test_what_is_not_known_is_not_drawn(q, limit, band):
    image = picture(q)
    assert has(image, LIMIT) == limit
    assert has(image, BAND) or not band


def test_the_forecast_is_that_of_the_day_asked_for():
    q = quota_year()
    assert pace_png(q, date(2014, 8, 28)) == pace_png(q)
    assert pace_png(q, date(2013, 1, 1)) != pace_png(q)
