"""Tables of commands cut nothing, into a file as on a narrow terminal."""

from __future__ import annotations

import pytest
import typer

from deploy.cli.quota_commands import _date, _number, _print_table

HEADS = ("item", "value", "valid from", "recorded at", "source")
ROW = (
    "01",
    "0.0001229",
    "2000-01-01",
    "2026-11-28 13:19:04",
    "Calorific value, " + "a long source, " * 30 + "end",
)


def test_a_table_in_a_file_has_a_row_a_line_with_all_cells_whole(capsys):
    _print_table(HEADS, [ROW, ROW], right=(1,))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(cell.strip() in lines[1] for cell in ROW)


@pytest.mark.parametrize("width", ["40", "80", "200"])
def test_a_long_text_folds_on_a_terminal_and_takes_no_room_from_the_figures(capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    _print_table(HEADS, [ROW], right=(1,))
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert all(cell in shown for cell in ROW[:4])
    assert shown.count("a long") + shown.count("source") > 30
    assert "end" in shown.splitlines()[-1]


def test_small_figures_keep_their_decimals_and_whole_ones_have_none():
    values = (None, 0.0, 0.84, 29.312, 55.0, 1234567.8)
    assert [_number(v) for v in values] == ["", "0", "0.84", "29.3", "55", "1,234,568"]


def test_a_day_that_no_quota_can_be_of_is_refused():
    with pytest.raises(typer.BadParameter, match="0002-10-31 is before 1990"):
        _date("0002-10-31")
