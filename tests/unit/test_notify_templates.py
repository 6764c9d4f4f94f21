"""Templates as files: shipped ones hold in both languages, an operator's stand in for them, wrong ones are named."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from alerts.lifecycle import Action
from alerts.notify.facts import SAMPLE, alert_facts
from alerts.notify.templates import LANGUAGES, Templates
from alerts.notify.words import named, note_in, to_do
from alerts.rule_names import rule_names
from metering.errors import SettingError

ZONE = ZoneInfo("Asia/Shanghai")


def context(language: str = "en", **more):
    own = {
        "language": language, "name": "Li", "key": "k" * 40, "node": "beijing", "is_test": False, "link": "https://x/a/t",
        "link_days": 30, "chart": "",
    }  # fmt: skip
    return {**alert_facts({**SAMPLE, **more}, language, ZONE), **own}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("action", [a.value for a in Action if a is not Action.SNOOZED])
@pytest.mark.parametrize("known", [True, False])
def test_every_state_is_told_in_both_languages_whatever_is_known(language, action, known):
    evidence = SAMPLE["evidence"] if known else {"used": 1.0}
    more = {} if known else {"year_consumption": None, "year_estimated": None, "district_code": None}
    text = Templates().alert(context(language, action=action, evidence=evidence, **more))
    assert named("happened", action, language) in text.subject
    assert "\n" not in text.subject
    for words in (text.plain, text.html):
        assert "None" not in words
        assert "https://x/a/t" in words
    assert (to_do("quota_forecast_over", language)[0] in text.plain) == (
        action in ("opened", "confirmed", "reopened", "escalated", "reminded")
    )


@pytest.mark.parametrize(
    ("language", "coming", "gone"),
    [("en", "will be passed on", "was passed on"), ("zh", "预计 <b>", "已于 <b>")],
)
def test_a_limit_that_is_passed_is_not_announced(language, coming, gone):
    over = {**SAMPLE["evidence"], "used": 471_000.0, "exhaustion_date": "2014-06-30"}
    for evidence, said, unsaid in ((SAMPLE["evidence"], coming, gone), (over, gone, coming)):
        text = Templates().alert(context(language, evidence=evidence, rule="quota_over"))
        assert said in text.html
        assert unsaid not in text.html
        assert evidence["exhaustion_date"] in text.plain
        assert "-62" not in text.html + text.plain
    assert "预计用尽日" not in text.plain


def test_every_rule_severity_action_and_note_has_words_in_both_languages():
    for language in LANGUAGES:
        for rule in rule_names():
            assert len(to_do(rule, language)) >= 2, rule
        for action in Action:
            assert named("action", action, "zh") != action
        for severity in ("warning", "major", "critical"):
            assert named("severity", severity, "zh") != severity
    for note in (
        "the year is over and the limit was kept",
        "it has not been so, or not been likely, for long enough",
        "the sum is no longer over: energy or limit was corrected",
        "there is no limit any more",
        "it is over",
        "what it was about turned out not to be so",
        "the finding was accepted",
        "nobody acknowledged it for 24 h",
        "nobody acknowledged it for 0.5 h",
        "it was promised for 2026-11-30 and is not resolved",
    ):
        assert note_in(note, "zh") != note
        assert note_in(note, "en") == note
    assert (
        note_in("it was promised for 2026-11-30 and is not resolved", "zh")
        == "承诺 2026-11-30 整改，尚未解除"
    )
    assert note_in("called 3 times, {}", "zh") == "called 3 times, {}"
    assert note_in("somebody's own words", "zh") == "somebody's own words"


def test_an_operators_template_stands_in_for_the_shipped_one(tmp_path):
    (tmp_path / "alert.zh.txt.j2").write_text("本市模板 {{ site_name }}\n正文 {{ used }}\n", encoding="utf-8")
    text = Templates(tmp_path).alert(context("zh"))
    assert text.subject == "本市模板 示例楼 · Example House"
    assert text.plain == "正文 301 MWh\n"
    assert "查看并受理" in text.html


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (
            "alert.zh.txt.j2",
            "x\n\n{{ ussed }}",
            r"alert\.zh\.txt\.j2:3: there is no field 'ussed'; there are .*used",
        ),
        (
            "alert.en.html.j2",
            "{% if never %}{{ x }}{% endif %}",
            r"en\.html\.j2:1: there is no field 'never', 'x'",
        ),
        (
            "digest.en.txt.j2",
            "{% for e in entries %}{{ e.usedd }}{% endfor %}",
            r"digest\.en\.txt\.j2: .*usedd.*used",
        ),
        ("alert.zh.txt.j2", "{% if used %}", r"alert\.zh\.txt\.j2:1: "),
        ("alert.zh.txt.j2", "{{ used + 1 }}", r"alert\.zh\.txt\.j2: cannot be rendered"),
        ("alert.zh.txt.j2", "{{ used.__class__.__mro__ }}", r"alert\.zh\.txt\.j2"),
        ("alert.zh.html.j2", "{% extends 'nothing.j2' %}", r"alert\.zh\.html\.j2: cannot be rendered"),
        ("alert.zh.html.j2", "{% include '../../../secret' %}", r"alert\.zh\.html\.j2: cannot be rendered"),
    ],
)
def test_a_template_that_cannot_be_is_refused_with_file_line_and_field(tmp_path, name, content, says):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(SettingError, match=says) as caught:
        Templates(tmp_path)
    assert "NENGLIU_NOTIFY_TEMPLATES" in str(caught.value)


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(SettingError, match="NENGLIU_NOTIFY_TEMPLATES"):
        Templates(tmp_path / "nowhere")


def test_what_data_hold_is_escaped_in_html_and_left_in_text():
    text = Templates().alert(context(site_name="A <b>&</b> B", note="<i>x</i>"))
    assert "<b>&</b>" not in text.html
    assert "A &lt;b&gt;&amp;&lt;/b&gt; B" in text.html
    assert "A <b>&</b> B" in text.plain
