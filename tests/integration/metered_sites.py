"""Three metered sites for tests of assessments: hourly registers with gaps, and a registry with quotas."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from metering.records import Intake, MessageHeader, ReadingBatch, StatusRecord

ZONE = ZoneInfo("Asia/Shanghai")
FIRST, LAST = date(2011, 1, 1), date(2014, 1, 20)
SITES = {"S1": ("G1", 1.0), "S2": ("G1", 1.0), "S3": ("G2", 1.0)}
HOUR_US = 3_600_000_000


def registry(folder: Path) -> Path:
    """Three sites on two gateways; S3 has two transformers; limits from 2011, less 3%."""
    sites = ["site_code,name,kind,sector,building_type,district_code,floor_area_m2"]
    points = ["point_code,site_code,item_code,name,parent_point_code,rated_per_hour"]
    installations = [
        "meter,point_code,register,gateway,protocol,unit,digits,decimals,ratio,installed_at,removed_at,"
        "start_value,end_value"
    ]
    quotas = [
        "site_code,item_code,year,limit_value,method,base_years,reduction_percent,source,effective_from"
    ]
    for site, (gateway, _) in SITES.items():
        sites.append(f"{site},{site},building,buildings,A,110108,5000")
        for n in (1, 2) if site == "S3" else (1,):
            points.append(f"{site}-P{n},{site},01,total {n},,")
            installations.append(
                f"{site}M{n},{site}-P{n},1.8.0,{gateway},json,kWh,7,2,1,2011-01-01T00:00:00+08:00,,,"
            )
        for year in (2012, 2013, 2014):
            quotas.append(f"{site},01,{year},,base_year,2011,3,test,{year}-01-01")
    for name, lines in (
        ("sites", sites), ("points", points), ("installations", installations), ("quotas", quotas)
    ):  # fmt: skip
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def registers() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Meter -> (ts in µs, register in kWh): hourly at :20, with gaps, one of them over a new year."""
    start = int(datetime(2011, 1, 1, 0, 20, tzinfo=ZONE).timestamp()) * 1_000_000
    hours = ((LAST - FIRST).days + 1) * 24
    ts = start + np.arange(hours) * HOUR_US
    day = np.arange(hours) // 24
    workday = np.isin(
        (np.datetime64("2011-01-01") + day).astype("datetime64[D]").astype(int) % 7, [0, 1, 4, 5, 6]
    )
    out = {}
    for n, (meter, growth) in enumerate({"S1M1": 1.3, "S2M1": 0.9, "S3M1": 1.0, "S3M2": 1.02}.items()):
        rng = np.random.default_rng(n)
        load = 40 * (1 + 0.5 * workday + 0.3 * np.cos(day / 58)) * rng.uniform(0.8, 1.2, hours)
        load *= np.where(day >= 365, growth, 1.0)
        if meter == "S2M1":  # an early excess that is made good later in the year
            load *= np.where((day >= 365) & (day < 425), 1.3, 1.0)
        keep = np.ones(hours, dtype=bool)
        gaps = {
            "S1M1": [(300, 302)],
            "S2M1": [(361, 369), (500, 520)],
            "S3M1": [(640, 741)],
            "S3M2": [(1090, 1094)],
        }
        for begin, end in gaps[meter]:
            keep[begin * 24 + 5 : end * 24 + 7] = False
        out[meter] = (ts[keep], np.round(1000 + np.cumsum(load), 2)[keep])
    return out


def intakes(days_at_once: list[int]) -> Iterator[tuple[Intake, bool]]:
    """The replay in order of time: each intake some days of both gateways; with the last they say `final`."""
    data = registers()
    begin = int(datetime(2011, 1, 1, tzinfo=ZONE).timestamp()) * 1_000_000
    end = begin + ((LAST - FIRST).days + 1) * 24 * HOUR_US
    sizes = iter(days_at_once)
    while begin < end:
        stop = min(end, begin + next(sizes) * 24 * HOUR_US)
        for gateway, meters in (("G1", ["S1M1", "S2M1"]), ("G2", ["S3M1", "S3M2"])):
            yield Intake(readings=(batch(gateway, {m: data[m] for m in meters}, begin, stop),)), False
        begin = stop
        yield Intake(), True
    now_us = int(datetime.now(UTC).timestamp() * 1e6)
    yield Intake(statuses=tuple(StatusRecord(g, now_us, "offline", final=True) for g in ("G1", "G2"))), True


def batch(
    gateway: str, data: dict[str, tuple[np.ndarray, np.ndarray]], begin: int, stop: int
) -> ReadingBatch:
    """The readings of [begin, stop), in order of time."""
    picked = [
        (n, ts[(ts >= begin) & (ts < stop)], v[(ts >= begin) & (ts < stop)])
        for n, (ts, v) in enumerate(data.values())
    ]
    meter = np.concatenate([np.full(len(ts), n, dtype=np.int32) for n, ts, _ in picked])
    ts, value = np.concatenate([p[1] for p in picked]), np.concatenate([p[2] for p in picked])
    order = np.argsort(ts, kind="stable")
    header = MessageHeader(
        gateway, f"nl/v1/{gateway}/readings", int(datetime.now(UTC).timestamp() * 1e6), len(ts)
    )
    return ReadingBatch(
        (header,), tuple(data), ("1.8.0",), meter[order], np.zeros(len(ts), dtype=np.int32), ts[order], value[order],
        np.zeros(len(ts), dtype=np.bool_),
    )  # fmt: skip
