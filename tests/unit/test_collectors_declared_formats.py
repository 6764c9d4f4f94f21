"""Declared formats: what a file may say, and that a wrong one is refused by name at the start."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from collectors.decoders.declared_formats import load_format, load_formats
from collectors.decoders.declared_times import time_format
from collectors.routes import Routes
from metering.errors import SettingError

GOOD = 'kind = "json"\nmeter = "id"\n[registers]\nE = { register = "1.8.0", scale = 0.01 }\n'
NEURON = 'kind = "neuron"\n[nodes.n]\nE = { meter = "m", register = "1.8.0" }\n'


SPARKPLUG = 'kind = "sparkplug"\n[metrics]\n"E/in" = { register = "1.8.0" }\n[meters]\nd = "m"\n'


def written(folder: Path, text: str, name: str = "acme") -> Path:
    file = folder / f"{name}.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("kind = ", "Invalid value"),
        ("", "kind"),
        (GOOD.replace('"json"', '"xml"'), "xml"),
        (GOOD.replace("meter", "metre"), "metre"),
        (GOOD.replace('meter = "id"', ""), "meter_is"),
        (GOOD.replace('meter = "id"', 'meter = "id"\nmeter_is = "x"'), "meter_is"),
        (GOOD.replace('meter = "id"', 'meter_is = ""'), "empty"),
        (GOOD.replace("1.8.0", "1.8.9"), r"1\.8\.9"),
        (GOOD.replace("0.01", '"0.01"'), "not a number"),
        (GOOD.replace("0.01", "true"), "not a number"),
        (GOOD.replace("0.01", "0"), "between"),
        (GOOD.replace("0.01", "nan"), "between|not a number"),
        (GOOD + '[time]\npath = "t"\nformat = "%Y%m%d%H%M"\n', "zone"),
        (GOOD + '[time]\npath = "t"\nformat = "%Y%m%d%H%M"\nzone = "Asia/Beijing"\n', "Asia/Beijing"),
        (GOOD + '[time]\npath = "t"\nformat = "%y%m%d%H%M"\nzone = "Asia/Shanghai"\n', "%y"),
        (GOOD + '[time]\npath = "t"\nformat = "%Y%m%d"\nzone = "Asia/Shanghai"\n', "%H"),
        (GOOD + '[time]\npath = "t"\nformat = "epoch_s"\nzone = "Asia/Shanghai"\n', "no zone"),
        (NEURON.replace("1.8.0", "x"), "'x'"),
        (NEURON.replace('"m"', '""'), "empty"),
        (GOOD.replace("[reg", "meter_digits = 0\n[reg"), "meter_digits"),
        (GOOD.replace('meter = "id"', 'meter_is = "m"\nmeter_digits = 12'), "meter_digits"),
        (GOOD + '[pairs]\nname = "n"\nvalue = "v"\n', "pairs needs values"),
        (SPARKPLUG.replace("1.8.0", "x"), "E/in.*'x'"),
        (SPARKPLUG.replace('"m"', '""'), "meter of d"),
        (SPARKPLUG.replace("metrics", "registers"), "registers"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_with_its_name(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(SettingError, match=rf"acme\.toml.*({fault})"):
        load_format(written(tmp_path, text))


def test_a_file_that_is_not_there_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="NENGLIU_DECODER_FILES"):
        load_format(tmp_path / "none.toml")


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    files = [written(tmp_path, GOOD), written(tmp_path / "b", GOOD)]
    with pytest.raises(SettingError, match="acme"):
        load_formats(files)


def test_a_filter_names_a_declared_format(tmp_path: Path) -> None:
    routes = Routes({"acme/{gateway}/up": "acme"}, load_formats([written(tmp_path, GOOD)]))
    route = routes.of("acme/gw-1/up")
    assert route is not None
    assert (route.gateway, route.name) == ("gw-1", "acme")
    with pytest.raises(SettingError, match="other"):
        Routes({"acme/{gateway}/up": "other"}, load_formats([written(tmp_path, GOOD)]))
    with pytest.raises(SettingError, match="dlt645"):
        Routes({}, load_formats([written(tmp_path, GOOD, "dlt645")]))


def test_a_naming_of_sparkplug_needs_a_filter_of_sparkplug(tmp_path: Path) -> None:
    formats = load_formats([written(tmp_path, SPARKPLUG)])
    assert Routes({"spBv1.0/+/+/{gateway}/#": "acme"}, formats).stateful_filters == ["spBv1.0/+/+/+/#"]
    with pytest.raises(SettingError, match="not of Sparkplug B"):
        Routes({"acme/{gateway}/up": "acme"}, formats)


def test_a_local_time_is_taken_in_its_zone() -> None:
    declared = time_format("%d.%m.%Y %H:%M", "Asia/Shanghai")
    moment = datetime(2014, 2, 28, 16, 15, tzinfo=UTC)
    assert declared.parse("01.03.2014 00:15") == int(moment.timestamp()) * 1_000_000
    for text in (
        "1.3.2014 00:15",
        "01.03.2014 00:15 ",
        "01/03/2014 00:15",
        "31.02.2014 00:15",
        "01.03.0000 00:15",
    ):
        assert declared.parse(text) is None
