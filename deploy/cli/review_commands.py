"""`nengliu readings review`: what people judge of readings."""

from __future__ import annotations

import getpass
import json
import math
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from deploy.settings import Settings, load_settings

review = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

Meter = Annotated[str, typer.Argument(metavar="METER", help="The meter.")]
Register = Annotated[str, typer.Argument(metavar="REGISTER", help="Its register, such as 1.8.0.")]
Moment = Annotated[
    str,
    typer.Argument(metavar="TS", help="Time of the reading, with offset; or a local day: its beginning."),
]
Until = Annotated[
    str | None,
    typer.Option("--to", help="Not one reading: those of the span to then; or a local day: its end."),
]
By = Annotated[str | None, typer.Option("--by", help="Who judges.", show_default="who is logged in")]
Note = Annotated[str, typer.Option("--note", help="Why; kept with the verdict.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_STATES = ("doubtful", "accepted", "refused", "all")
_WORDS = {
    "open": ("存疑", "doubtful"),
    "accepted": ("已认可", "accepted"),
    "refused": ("已否定", "refused"),
    "off_grid": ("时刻不准", "Off the grid"),
    "conflict": ("冲突", "conflicting"),
    "superseded": ("已被更正", "superseded"),
}
_HEADS = (
    ("表计", "meter"), ("寄存器", "register"), ("建筑", "site"), ("计量点", "point"), ("种类", "kind"),
    ("开始", "from"), ("结束", "to"), ("个数", "readings"), ("读数", "value"), ("之前", "before"), ("之后", "after"),
    ("用量", "energy"), ("计入", "counted"), ("状态", "state"), ("审核人", "by"), ("备注", "note"),
)  # fmt: skip


@review.callback()
def review_group() -> None:
    """List readings in doubt, and judge them: a person's verdict stands above the rules."""


@review.command("list")
def list_(
    site: Annotated[str | None, typer.Option(help="Only this site code.")] = None,
    point: Annotated[str | None, typer.Option(help="Only this point code.")] = None,
    meter: Annotated[str | None, typer.Option(help="Only this meter.")] = None,
    register: Annotated[str | None, typer.Option(help="Only this register; goes with --meter.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only this kind of doubt.")] = None,
    begin: Annotated[str | None, typer.Option("--from", help="First day or instant.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Last day or instant.")] = None,
    state: Annotated[str, typer.Option(help=f"One of {', '.join(_STATES)}.")] = "doubtful",
    as_json: AsJson = False,
) -> None:
    """List readings in doubt and steps whose energy does not count, or what was judged; a run of them is a line."""
    from storage.review_runs import runs_listed
    from storage.reviews import Wanted, find_series

    settings = load_settings()
    _one_of("--state", state, _STATES)
    if kind is not None:
        _one_of("--kind", kind, _kinds())
    if register is not None and meter is None:
        raise typer.BadParameter("--register goes with --meter")
    low, high = _bounds(settings, begin, end)
    with _database(settings) as connection:
        _known(connection, "site", site)
        _known(connection, "point", point)
        series = None if meter is None else tuple(find_series(connection, meter, register))
        runs = runs_listed(connection, Wanted(site, point, series, kind, low, high, state))
    if as_json:
        _print_json([asdict(r) for r in runs])
    else:
        _print_runs(runs, settings)


@review.command()
def show(meter: Meter, register: Register, ts: Moment, as_json: AsJson = False) -> None:
    """Show a reading among those around it, its other stored versions, and what people judged of it."""
    from storage.reviews import find_series, reading_story

    settings = load_settings()
    at = _moment(ts, settings, last=False)
    with _database(settings) as connection:
        [series] = find_series(connection, meter, register)
        story = reading_story(connection, series, at)
    if as_json:
        _print_json(story)
    else:
        _print_story(story, settings)


@review.command()
def accept(
    meter: Meter,
    register: Register,
    ts: Moment,
    note: Note,
    to: Until = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Accept a reading as good, or with --to all readings and steps of the span that are in doubt.

    Accepting the reading that a step in doubt ends with makes the energy of that step count.
    """
    _judge("accepted", meter, register, (ts, to), (by, note), as_json)


@review.command()
def refuse(
    meter: Meter,
    register: Register,
    ts: Moment,
    note: Note,
    to: Until = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Refuse a reading, or with --to all of the span: it never counts, whatever the rules say. It stays stored."""
    _judge("refused", meter, register, (ts, to), (by, note), as_json)


@review.command()
def reopen(
    meter: Meter,
    register: Register,
    ts: Moment,
    note: Note,
    to: Until = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Take a verdict back, or with --to all those of the span: the rules decide again."""
    _judge("open", meter, register, (ts, to), (by, note), as_json)


@review.command()
def adopt(
    meter: Meter,
    register: Register,
    ts: Moment,
    value: Annotated[float, typer.Argument(metavar="VALUE", help="A stored version, as `show` prints it.")],
    note: Note,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Make a superseded or conflicting version of a reading its value again; the other is kept."""
    from storage import reviews

    if not math.isfinite(value):
        raise typer.BadParameter(f"{value} is no reading", param_hint="VALUE")
    settings = load_settings()
    at = _moment(ts, settings, last=False)
    who = person(by, note)
    _act(settings, meter, register, lambda c, series: reviews.adopt(c, series, at, value, who), as_json)


def _judge(
    verdict: Any,
    meter: str,
    register: str,
    span: tuple[str, str | None],
    who: tuple[str | None, str],
    as_json: bool,
) -> None:
    from storage import reviews

    settings = load_settings()
    low = _moment(span[0], settings, last=False)
    high = None if span[1] is None else _moment(span[1], settings, last=True)
    if high is not None and high < low:
        raise typer.BadParameter("--to is before the first moment")
    judging = person(*who)
    _act(
        settings,
        meter,
        register,
        lambda c, series: reviews.judge(c, series, (low, high), verdict, judging),
        as_json,
    )


def _act(
    settings: Settings, meter: str, register: str, act: Callable[[Any, Any], Any], as_json: bool
) -> None:
    """Do it, and say what it touched."""
    from storage.reviews import find_series

    with _database(settings) as connection:
        [series] = find_series(connection, meter, register)
        done = act(connection, series)
    if as_json:
        _print_json(asdict(done))
        return
    span = f"{_local(done.first, settings)} - {_local(done.last, settings)}"
    zh, en = (
        f"{done.readings} 个读数, {done.findings} 条发现",
        f"{done.readings} readings, {done.findings} findings",
    )
    typer.echo(f"{meter} {register}: {zh if settings.language == 'zh' else en} ({span})")


def _database(settings: Settings) -> Any:
    from deploy.clients import connect_database

    return connect_database(settings, "pipeline", autocommit=True)


def person(by: str | None, note: str) -> Any:
    """Who judges and why; by None: the user of this machine. Raises typer.BadParameter where one is empty."""
    from storage.reviews import Person
    from storage.texts import storable

    by = getpass.getuser() if by is None else by
    if not by.strip():
        raise typer.BadParameter("--by: say who")
    if not note.strip():
        raise typer.BadParameter("--note: say why")
    return Person(storable(by), storable(note))


def _moment(text: str, settings: Settings, *, last: bool) -> datetime:
    from deploy.cli.work_commands import moment
    from metering.instants import from_us

    return from_us(moment(text, settings, last=last))


def _bounds(settings: Settings, begin: str | None, end: str | None) -> tuple[Any, Any]:
    low = "-infinity" if begin is None else _moment(begin, settings, last=False)
    high = "infinity" if end is None else _moment(end, settings, last=True)
    if isinstance(low, datetime) and isinstance(high, datetime) and low > high:
        raise typer.BadParameter("--from is after --to")
    return low, high


def _known(connection: Any, what: str, code: str | None) -> None:
    """Raise BadParameter where the registry has no such site or point."""
    statement = {
        "site": "select from nengliu.site where site_code = %s",
        "point": "select from nengliu.point where point_code = %s",
    }
    if code is not None and not connection.execute(statement[what], (code,)).rowcount:
        raise typer.BadParameter(f"no {what} {code!r} in the registry")


def _one_of(option: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise typer.BadParameter(f"{option} {given!r}: want one of {', '.join(known)}")


def _kinds() -> tuple[str, ...]:
    from metering.doubts import OFF_GRID, PERSON
    from metering.findings import finding_kinds

    return (*(k.kind for k in finding_kinds().values() if k.about == "values"), OFF_GRID, PERSON)


def _print_runs(runs: list[Any], settings: Settings) -> None:
    from deploy.cli.quota_commands import _print_table

    zh = settings.language == "zh"
    rows = [
        (
            r.meter, r.register, r.site_code or "", r.point_code or "", _kind(r.kind, settings),
            _local(r.starts, settings), _local(r.last, settings), str(r.readings or ""), _values(r),
            _number(r.before), _number(r.after), _number(r.energy),
            ("是" if zh else "yes") if r.counted else ("否" if zh else "no"),
            _word(r.state, settings), r.reviewed_by or "", r.note or "",
        )
        for r in runs
    ]  # fmt: skip
    _print_table([head[not zh] for head in _HEADS], rows, right=(7, 8, 9, 10, 11))


def _print_story(story: dict[str, Any], settings: Settings) -> None:
    zh = settings.language == "zh"
    for r in story["readings"]:
        mark = ">" if r["ts"] == story["ts"] else " "
        verdict = "" if r["verdict"] is None else _word(r["verdict"], settings)
        line = f"{mark} {_local(r['ts'], settings)}  {_number(r['value']):>16}  {_kind(r['kind'], settings)}  {verdict}"
        typer.echo(line.rstrip())
    typer.echo("其他版本:" if zh else "other versions:")
    for v in story["versions"]:
        about = f"{v['gateway']}  {_local(v['received_at'], settings)}"
        typer.echo(f"  {_number(v['value']):>16}  {_word(v['kind'], settings)}  {about}")
    typer.echo("审核记录:" if zh else "reviews:")
    for v in story["reviews"]:
        about = f"{_local(v['reviewed_at'], settings)}  {v['reviewed_by']}: {v['note']}"
        typer.echo(f"  {_number(v['value']):>16}  {_word(v['verdict'], settings)}  {about}")


def _kind(code: str | None, settings: Settings) -> str:
    from metering.findings import finding_kinds

    known = finding_kinds().get(code or "")
    if known is None:
        return _word(code or "", settings)
    return known.name_zh if settings.language == "zh" else known.name_en


def _word(code: str, settings: Settings) -> str:
    return _WORDS[code][settings.language == "en"] if code in _WORDS else code


def _values(run: Any) -> str:
    if run.lowest is None or run.lowest == run.highest:
        return _number(run.lowest)
    return f"{_number(run.lowest)} .. {_number(run.highest)}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.12g}"


def _local(at: datetime, settings: Settings) -> str:
    return at.astimezone(ZoneInfo(settings.timezone)).strftime("%Y-%m-%d %H:%M:%S")


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, default=_plain))


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
