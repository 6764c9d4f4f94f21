"""What an operator says otherwise of rules: for all, for a building type, for a site; and what is refused."""

from __future__ import annotations

from datetime import timedelta

import pytest

from alerts.parameter_file import ParameterFileError, read_parameters, shipped_parameters


def said(tmp_path, text):
    file = tmp_path / "alerts.toml"
    file.write_text(text, encoding="utf-8")
    return read_parameters(file)


def test_without_a_file_the_shipped_parameters_are_in_force():
    assert read_parameters(None) is shipped_parameters()


def test_what_is_not_said_stays_and_a_site_counts_before_its_type(tmp_path):
    p = said(
        tmp_path,
        """
        [rules.quota_pace]
        margin = 0.2
        [type.A.rules.quota_pace]
        days = 14
        [site."S 1".rules.quota_pace]
        severity = "major"
        [site.S2.loads.night_load]
        enabled = false
        [type.A.findings.meter_silent]
        after_h = 72
        [site.S2.findings.meter_silent]
        enabled = false
        [type.A.months]
        margin = 0.3
        [site.S2.months]
        enabled = false
        [care.major]
        remind_after_h = 24
        """,
    )
    shipped = shipped_parameters()
    pace = shipped.rules["quota_pace"]
    assert (p.rules["quota_pace"].margin, p.rules["quota_pace"].days) == (0.2, pace.days)
    assert p.rules["quota_over"] == shipped.rules["quota_over"]
    of_type = p.rule("quota_pace", "S3", "A")
    assert (of_type.margin, of_type.days) == (0.2, 14)
    of_site = p.rule("quota_pace", "S 1", "A")
    assert (of_site.severity, of_site.days) == ("major", 14), "what a site does not say is as its type has it"
    assert p.rule("quota_pace", "S 1", "B").days == pace.days
    assert p.rule("quota_pace", "S3", None) == p.rules["quota_pace"]
    assert not p.load("night_load", "S2", "A").enabled
    assert p.load("night_load", "S1", "A").enabled
    assert p.longest_run == 14
    silent = p.finding("meter_silent", "S2", "A")
    assert (silent.after_h, silent.enabled, silent.group) == (72, False, "gateway")
    assert p.finding("meter_silent", None, None) == shipped.findings["meter_silent"]
    assert p.least_patience("meter_silent") == timedelta(hours=24)
    month = p.month("S2", "A")
    assert (month.enabled, month.margin, month.judged_days) == (False, 0.3, shipped.months.judged_days)
    assert p.month("S3", None) == shipped.months
    assert (p.care["major"].remind_after_h, p.care["major"].escalations) == (
        24,
        shipped.care["major"].escalations,
    )


def test_a_list_for_some_buildings_is_as_good_as_one_for_all(tmp_path):
    p = said(tmp_path, "[type.A.rules.quota_forecast_over]\nseasonal_items = ['04']")
    assert p.rule("quota_forecast_over", "S1", "A").seasonal_items == ("04",)
    assert len({p.rule("quota_forecast_over", "S1", kind) for kind in ("A", "B")}) == 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[rules.quota_pace]\nmargins = 1", "rules.quota_pace.margins is not known"),
        ("[rules.quota_paces]\nmargin = 1", "rules.quota_paces is not known"),
        ("[rule.quota_pace]\nmargin = 1", "rule is not known; known: .*rules"),
        ("[rules.quota_forecast_over]\nseasonal_items = [4]", "seasonal_items: .*; want a list of items"),
        ("[rules.quota_forecast_over]\nseasonal_items = ['']", "seasonal_items: .*; want a list of items"),
        ("[rules.quota_pace]\nmargin = 'much'", "rules.quota_pace.margin: 'much'; want a number"),
        ("[rules.quota_pace]\nmargin = -0.1", "rules.quota_pace.margin: -0.1; want at least 0"),
        ("[rules.quota_pace]\ndays = 1.5", "rules.quota_pace.days: 1.5; want a whole number"),
        ("[rules.quota_pace]\nenabled = 1", "rules.quota_pace.enabled: 1; want true or false"),
        ("[rules.quota_pace]\nseverity = 'bad'", "severity: 'bad'; want one of warning, major, critical"),
        ("[type.A.rules.quota_paces]\ndays = 1", "type.A.rules.quota_paces is not known"),
        ("[site.S1.findings.imbalances]\nafter_h = 1", "site.S1.findings.imbalances is not known"),
        (
            "[site.S1.findings.imbalance]\nafter_h = -1",
            "site.S1.findings.imbalance.after_h: -1; want at least 0",
        ),
        ("[site.S1.findings.imbalance]\nperiod = false", "imbalance.period is the same for all buildings"),
        ("[site.S1.care.major]\nescalations = 1", "site.S1.care is not known; known: .*findings"),
        ("[rules.quota_over]\ndays = 0", "rules.quota_over.days: 0; want at least 1"),
        ("[site.S1.loads.night_load]\ndays = 29", "night_load.days: 29; want at most 28"),
        ("[loads.night_load]\ncalm_days = 0", "loads.night_load.calm_days: 0; want at least 1"),
        ("[care.major]\nremind_after_h = 0", "care.major.remind_after_h: 0; want at least 1"),
        ("[findings.gateway_silent]\nafter_h = inf", "gateway_silent.after_h: inf; want at most 100000"),
        ("[rules.quota_pace]\nmargin = nan", "rules.quota_pace.margin: nan; want at least 0"),
        ("[findings.gateway_silent]\ngroup = 'site'", "group: 'site'; want one of gateway, finding"),
        (
            "[findings.gateway_silent]\nkinds = 'silent_gateway'",
            "kinds: 'silent_gateway'; want a list of .*silent_meter",
        ),
        ("[findings.gateway_silent]\nkinds = ['silent']", "want a list of .*silent_meter"),
        ("[site.S1.months]\nmargins = 1", "site.S1.months.margins is not known"),
        ("levels = 3", "levels must be a table"),
        ("type = 3", "type must be a table"),
        ("[site]\nS1 = 3", "site.S1 must be a table"),
        ("[type.A]\nrules = 3", "type.A.rules must be a table"),
        ("[type.A]\nmonths = 3", "type.A.months must be a table"),
        ("[type.A.rules]\nquota_pace = 3", "type.A.rules.quota_pace must be a table"),
        ("[limits]\nmin_coverage = 90", "limits.min_coverage: 90; want at most 1"),
        ("[levels]\nmin_completeness = 90", "levels.min_completeness: 90; want at most 1"),
        ("[percentiles]\nbest_percent = 500", "percentiles.best_percent: 500; want at most 100"),
        ("[levels]\nsevere = 0.5", "levels.severe: 0.5; want at least levels.over"),
        ("[levels\n", "alerts.toml: "),
    ],
)
def test_what_cannot_be_used_is_refused_by_table_and_key(tmp_path, text, problem):
    with pytest.raises(ParameterFileError, match=problem):
        said(tmp_path, text)


def test_a_files_name_may_hold_a_colon(tmp_path):
    file = tmp_path / "a:b.toml"
    file.write_text("[type.A.rules.quota_pace]\ndays = 14", encoding="utf-8")
    assert read_parameters(file).rule("quota_pace", "S1", "A").days == 14


def test_a_byte_order_mark_does_not_matter(tmp_path):
    assert said(tmp_path, "\ufeff[percentiles]\nenabled = true").limits.percentiles.enabled


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ParameterFileError, match=r"none\.toml"):
        read_parameters(tmp_path / "none.toml")
