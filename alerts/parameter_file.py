"""The values of parameters: parameters.toml and forecast_bands.csv beside this file, and an operator's file over them.

The operator's file has the same tables as parameters.toml with only what is to be other, and tables for some buildings:

    [rules.quota_pace]
    margin = 0.2
    [type.A.rules.quota_pace]
    days = 14
    [site."110108D041".loads.weekend_load]
    enabled = false
    [site."110108D041".findings.meter_silent]
    after_h = 72
    [site."110108D041".months]
    margin = 0.05
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np

from alerts.finding_rules import FindingRule, Group
from alerts.forecast import ForecastParameters
from alerts.lifecycle import Care
from alerts.load_rules import RUN_DAYS, LoadParameters
from alerts.month_rule import MonthRule
from alerts.parameters import (
    Band,
    BandParameters,
    DoubtParameters,
    LevelThresholds,
    LimitParameters,
    Parameters,
    RuleParameters,
)
from alerts.percentiles import PercentileRule
from metering.errors import SettingError
from metering.findings import finding_kinds

T = TypeVar("T")

_SEVERITIES = ("warning", "major", "critical")
_OF_SOME = {"type": "of_types", "site": "of_sites"}
_KINDS: dict[str, type] = {"rules": RuleParameters, "loads": LoadParameters, "findings": FindingRule}
#: What of a rule about findings says what it is about, and is so for all.
_FOR_ALL = frozenset({"kinds", "group", "period"})
_GROUPS = get_args(Group)
_SHARE, _PERCENT = (0.0, 1.0), (0.0, 100.0)
#: Least and most of numbers, by type and name; of others _LEAST and _MOST. A run of no days would always hold, a
#: reminder every 0 hours never be the last, and a run of loads is looked for in so many days only. A share of which
#: somebody gave the percent could never be reached.
_BOUNDS: dict[tuple[type, str], tuple[float, float]] = {
    (RuleParameters, "days"): (1, 366),
    (RuleParameters, "calm_days"): (0, 366),
    (LoadParameters, "days"): (1, RUN_DAYS),
    (LoadParameters, "calm_days"): (1, RUN_DAYS),
    (Care, "remind_after_h"): (1, 100_000),
    (LevelThresholds, "min_completeness"): _SHARE,
    (LimitParameters, "min_coverage"): _SHARE,
    (MonthRule, "min_completeness"): _SHARE,
    (RuleParameters, "band_share"): _SHARE,
    (RuleParameters, "min_share"): _SHARE,
    (PercentileRule, "best_percent"): _PERCENT,
    (PercentileRule, "worst_percent"): _PERCENT,
    (PercentileRule, "worst_extra_percent"): _PERCENT,
}
_LEAST, _MOST = 0, 100_000


class ParameterFileError(SettingError):
    """A file of parameters (NENGLIU_ALERT_PARAMETERS) that cannot be used; the message names the table and the key."""


@cache
def shipped_parameters() -> Parameters:
    """The parameters that come with the software."""
    return _parameters(_shipped(), "parameters.toml")


def read_parameters(file: Path | None) -> Parameters:
    """The parameters in force: the shipped ones, with what a file says otherwise. Raises ParameterFileError."""
    if file is None:
        return shipped_parameters()
    try:
        own = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        raise ParameterFileError(f"{file}: {e}") from e
    return _parameters(_merged(_shipped(), own, str(file)), str(file))


def _shipped() -> dict[str, Any]:
    return tomllib.loads(files("alerts").joinpath("parameters.toml").read_text(encoding="utf-8"))


def _merged(base: Mapping[str, Any], own: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`base` with what `own` says otherwise; tables of types and sites as they are. Raises ParameterFileError."""
    out = dict(base)
    for name, value in own.items():
        if name in _OF_SOME:
            out[name] = value
        elif name not in base:
            raise ParameterFileError(f"{where}: {name} is not known; known: {', '.join(sorted(base))}")
        elif isinstance(base[name], dict):
            if not isinstance(value, dict):
                raise ParameterFileError(f"{where}: {name} must be a table")
            out[name] = _table(base[name], value, f"{where}: {name}")
        else:
            raise ParameterFileError(f"{where}: {name} must not be a table")
    return out


def _table(base: Mapping[str, Any], own: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A table of values, or of tables of values by rule or severity, with what is said otherwise."""
    out = dict(base)
    for name, value in own.items():
        if isinstance(value, dict) and isinstance(base.get(name), dict):
            out[name] = {**base[name], **value}
        elif isinstance(value, dict) or isinstance(base.get(name), dict):
            known = ", ".join(sorted(base))
            raise ParameterFileError(f"{where}.{name} is not known; known: {known}")
        else:
            out[name] = value
    return out


def _parameters(data: dict[str, Any], where: str) -> Parameters:
    bands = _bands()
    made = Parameters(
        levels=_made(LevelThresholds, data["levels"], f"{where}: levels"),
        limits=replace(
            _made(LimitParameters, data["limits"], f"{where}: limits"),
            percentiles=_made(PercentileRule, data["percentiles"], f"{where}: percentiles"),
        ),
        months=_made(MonthRule, data["months"], f"{where}: months"),
        doubt=_made(DoubtParameters, data["doubt"], f"{where}: doubt"),
        forecast=_made(ForecastParameters, data["forecast"], f"{where}: forecast"),
        rules=_each(RuleParameters, data, "rules", where),
        care=_each(Care, data, "care", where),
        findings=_each(FindingRule, data, "findings", where),
        loads=_each(LoadParameters, data, "loads", where),
        band=_made(BandParameters, data["band"], f"{where}: band"),
        profile_band=bands["profile"],
        run_rate_band=bands["run_rate"],
        of_types=_of_some(data, "type", where),
        of_sites=_of_some(data, "site", where),
    )
    if missing := set(_SEVERITIES) - made.care.keys():
        raise ParameterFileError(f"{where}: care.{min(missing)} is missing")
    if made.levels.severe < made.levels.over:
        raise ParameterFileError(f"{where}: levels.severe: {made.levels.severe}; want at least levels.over")
    return made


def _each(kind: type[T], data: Mapping[str, Any], table: str, where: str) -> dict[str, T]:
    return {name: _made(kind, values, f"{where}: {table}.{name}") for name, values in data[table].items()}


def _of_some(data: Mapping[str, Any], table_of: str, where: str) -> dict[tuple[str, str], Mapping[str, Any]]:
    """What is other of rules for some buildings, by (building type or site code, rule)."""
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for code, tables in _a_table(data.get(table_of, {}), f"{where}: {table_of}"):
        for table, rules in _a_table(tables, f"{where}: {table_of}.{code}"):
            here = f"{where}: {table_of}.{code}.{table}"
            _a_table(rules, here)
            if table == "months":
                _made(MonthRule, {**data[table], **rules}, here)
                found[code, table] = rules
                continue
            if table not in _KINDS:
                raise ParameterFileError(f"{here} is not known; known: {', '.join(_KINDS)}, months")
            for name, values in rules.items():
                if name not in data[table]:
                    known = ", ".join(sorted(data[table]))
                    raise ParameterFileError(f"{here}.{name} is not known; known: {known}")
                _a_table(values, f"{here}.{name}")
                if table == "findings" and (fixed := _FOR_ALL & values.keys()):
                    raise ParameterFileError(f"{here}.{name}.{min(fixed)} is the same for all buildings")
                own: Any = _made(_KINDS[table], {**data[table][name], **values}, f"{here}.{name}")
                found[code, name] = {key: getattr(own, key) for key in values}
    return found


def _a_table(value: Any, where: str) -> Iterable[tuple[str, Any]]:
    """The items of a table. Raises ParameterFileError for anything else."""
    if not isinstance(value, dict):
        raise ParameterFileError(f"{where} must be a table")
    return value.items()


def _made(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    """A parameter type from a table. Raises ParameterFileError, naming what is unknown, missing or of a wrong kind."""
    types = {f.name: str(f.type) for f in fields(kind)}  # type: ignore[arg-type]  # T is one of our dataclasses
    given = dict(values)
    for name, value in values.items():
        if name not in types:
            raise ParameterFileError(f"{where}.{name} is not known; known: {', '.join(types)}")
        problem = _problem(kind, name, value, types[name])
        if problem:
            raise ParameterFileError(f"{where}.{name}: {problem}")
        if isinstance(value, list):
            given[name] = tuple(value)
    try:
        return kind(**given)
    except TypeError as e:
        raise ParameterFileError(f"{where}: {e}") from e


def _problem(kind: type, name: str, value: Any, wanted: str) -> str | None:
    if name == "severity":
        return None if value in _SEVERITIES else f"{value!r}; want one of {', '.join(_SEVERITIES)}"
    if name == "group":
        return None if value in _GROUPS else f"{value!r}; want one of {', '.join(_GROUPS)}"
    if name == "kinds":
        known = finding_kinds()
        right = isinstance(value, list) and value and all(k in known for k in value)
        return None if right else f"{value!r}; want a list of {', '.join(known)}"
    if name == "seasonal_items":
        right = isinstance(value, list) and all(isinstance(item, str) and item for item in value)
        return None if right else f"{value!r}; want a list of items"
    if wanted in ("int", "float"):
        right = isinstance(value, int if wanted == "int" else int | float) and not isinstance(value, bool)
        if not right:
            return f"{value!r}; want {'a whole number' if wanted == 'int' else 'a number'}"
        least, most = _BOUNDS.get((kind, name), (_LEAST, _MOST))
        if not value >= least:
            return f"{value}; want at least {least}"
        return None if value <= most else f"{value}; want at most {most}"
    if wanted == "bool":
        return None if isinstance(value, bool) else f"{value!r}; want true or false"
    return None


def _bands() -> dict[str, Band]:
    rows: dict[str, list[tuple[float, float, float]]] = {}
    with files("alerts").joinpath("forecast_bands.csv").open(encoding="utf-8") as f:
        for row in csv.DictReader(line for line in f if not line.startswith("#")):
            values = (float(row["missing_share"]), float(row["q10"]), float(row["q90"]))
            rows.setdefault(row["method"], []).append(values)
    tables = {method: np.array(sorted(values)) for method, values in rows.items()}
    return {method: Band(t[:, 0].copy(), t[:, 1].copy(), t[:, 2].copy()) for method, t in tables.items()}
