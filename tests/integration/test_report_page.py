"""The report shows what the api views hold, needs nothing from elsewhere, and says it in both languages."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path

import psycopg
import pytest

from alerts.report import render_report, write_report
from alerts.report_data import load_report

pytestmark = pytest.mark.integration

SEED = Path(__file__).parent / "seeds" / "city.sql"
MADE_AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def data(database):
    with psycopg.connect(database.owner_url) as connection:
        connection.execute(SEED.read_text(encoding="utf-8"))
    with psycopg.connect(database.read_url) as connection:
        return load_report(connection, "Asia/Shanghai")


def test_quotas_come_with_days_assessments_and_alerts(data):
    over = {q.site_code: q for q in data.quotas}["110108A001"]
    assert len(over.days) == len(over.assessments) == 365
    assert over.last.as_of == date(2014, 12, 31)
    assert over.first_alert.as_of == min(a.as_of for a in over.assessments if a.level == "warning")
    assert over.passed_on == min(a.as_of for a in over.assessments if a.used > 36000)
    assert over.lead_days == (over.passed_on - over.first_alert.as_of).days
    assert over.shape_years == [2013]
    assert sum(over.shape) == pytest.approx(1)


def test_only_the_sites_asked_for_are_read(database, data):
    with psycopg.connect(database.read_url) as connection:
        some = load_report(connection, "Asia/Shanghai", ["110105B002"])
    assert list(some.sites) == ["110105B002"]


def test_of_many_sites_those_with_most_alerts_are_shown_and_the_rest_is_counted(database, data):
    with psycopg.connect(database.read_url) as connection:
        some = load_report(connection, "Asia/Shanghai", at_most=1)
    assert list(some.sites) == ["110108A001"]
    assert some.left_out == 1
    assert "1 more are not shown" in render_report(some, "en", MADE_AT)
    assert data.left_out == 0


class References(HTMLParser):
    """Collects whatever would make a browser ask for something, and the languages of the texts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.languages: dict[str, int] = {"zh": 0, "en": 0}

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag in ("script", "link", "img", "iframe", "object", "embed", "use", "image", "video", "audio"):
            self.found.append(tag)
        self.found += [
            v for k, v in attrs if k in ("src", "href", "srcset", "data") and not str(v).startswith("#")
        ]
        if tag == "span" and "lang" in given:
            self.languages[given["lang"]] += 1


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_page_refers_to_nothing_outside_and_holds_both_languages(data, language):
    page = render_report(data, language, MADE_AT)
    references = References()
    references.feed(page)
    assert references.found == []
    assert not re.search(r"url\(|@import|https?://", page)
    assert references.languages["zh"] == references.languages["en"] > 20
    assert f'id="lang-{language}" checked' in page


def test_names_are_shown_as_text_whatever_is_in_them(data):
    page = render_report(data, "zh", MADE_AT)
    assert "乙楼 &lt;b&gt;&amp; co&lt;/b&gt;" in page
    assert "<b>& co</b>" not in page


def test_the_page_is_written_whole_over_an_older_one(data, tmp_path):
    path = tmp_path / "out" / "report.html"
    write_report(data, path, "zh", MADE_AT)
    first = path.read_text(encoding="utf-8")
    write_report(data, path, "en", MADE_AT)
    assert path.read_text(encoding="utf-8") != first
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
