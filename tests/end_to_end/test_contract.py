"""The contracts, from outside: what a gateway publishes, what the views then show, what comes back to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tests.end_to_end.conftest import Gateway, Stack, wait_for

pytestmark = pytest.mark.integration

SITES = """site_code,name,kind,sector,building_type,district_code,floor_area_m2
110108A901,一号楼,building,buildings,A,110108,5000
110105B902,二号楼,building,buildings,B,110105,8000
"""
POINTS = """point_code,site_code,item_code,name,parent_point_code,rated_per_hour
P-TOTAL,110108A901,01,总表,,1000
P-LIGHT,110108A901,01A1,照明,P-TOTAL,
P-WATER,110108A901,02,水表,,
P-HEAT,110105B902,04,热表,,
P-LIFT,110105B902,01C1,电梯,,
"""
INSTALLATIONS = """meter,point_code,register,gateway,protocol,unit,digits,decimals,ratio,installed_at,removed_at,\
start_value,end_value,interval_s
M-TOTAL,P-TOTAL,1.8.0,gw-a,json,kWh,6,2,10,2024-01-01T00:00:00+08:00,,,,3600
M-TOTAL,P-TOTAL,16.7.0,gw-a,json,kW,6,2,10,2024-01-01T00:00:00+08:00,,,,3600
M-LIGHT,P-LIGHT,1.8.0,gw-a,json,kWh,6,2,1,2024-01-01T00:00:00+08:00,,,,3600
M-WATER,P-WATER,8:1.0.0,gw-a,json,m3,6,2,1,2024-01-01T00:00:00+08:00,,,,3600
M-HEAT,P-HEAT,6:1.0.0,gw-b,json,MWh,6,2,1,2024-01-01T00:00:00+08:00,,,,3600
M-LIFT,P-LIFT,1.8.0,gw-b,json,kWh,4,2,1,2024-01-01T00:00:00+08:00,,,,3600
"""
QUOTAS = """site_code,item_code,year,limit_value,method,base_years,reduction_percent,source,effective_from
110108A901,01,2024,1000,manual,,,test,2024-01-01
"""


def at(day: int, hour: int, month: int = 1, minute: int = 0) -> str:
    """A local instant of 2024."""
    return f"2024-{month:02}-{day:02}T{hour:02}:{minute:02}:00+08:00"


def reading(meter: str, ts: Any, register: str = "1.8.0", value: Any = 0.0, **more: Any) -> dict[str, Any]:
    """One reading of one register."""
    return {"meter": meter, "ts": ts, "values": {register: value}} | more


@pytest.fixture(scope="module")
def passwords(stack: Stack) -> dict[str, str]:
    """Gateways are there before the registry knows them; then comes the registry."""
    made = stack.add_gateways("gw-a", "gw-b")
    stack.import_registry("base", sites=SITES, points=POINTS, installations=INSTALLATIONS, quotas=QUOTAS)
    return made


@pytest.fixture(scope="module")
def gw_a(stack: Stack, passwords: dict[str, str]) -> Iterator[Gateway]:
    """The first gateway, connected."""
    gateway = Gateway(stack, "gw-a", passwords["gw-a"])
    yield gateway
    gateway.close()


@pytest.fixture(scope="module")
def gw_b(stack: Stack, passwords: dict[str, str]) -> Iterator[Gateway]:
    """The second gateway, connected."""
    gateway = Gateway(stack, "gw-b", passwords["gw-b"])
    yield gateway
    gateway.close()


def hours(stack: Stack, point: str, day: date) -> list[tuple[Any, ...]]:
    """(hour of the local day, consumption, estimated, completeness) of a point."""
    return stack.rows(
        """select extract(hour from period at time zone 'Asia/Shanghai')::int, round(consumption::numeric, 6)::float8,
                  round(estimated::numeric, 6)::float8, round(completeness::numeric, 4)::float8
           from api.energy_hour where point_code = %s and (period at time zone 'Asia/Shanghai')::date = %s
           order by period""",
        point,
        day,
    )


def until_hours(stack: Stack, point: str, day: date, expected: list[tuple[Any, ...]]) -> None:
    """Wait until a point's hours of a day are these."""
    last: list[Any] = []

    def look() -> bool:
        last[:] = hours(stack, point, day)
        return last == expected

    try:
        wait_for(look, "hours", 45)
    except AssertionError:
        assert last == expected


def test_status_is_as_contracted(stack: Stack) -> None:
    status = stack.status()
    assert {s["name"] for s in status["servers"]} == {"mosquitto", "kafka", "postgres", "prometheus"}
    assert {s["name"] for s in status["services"]} == {"bridge", "writer", "worker"}
    assert all(s["state"] == "running" for s in status["servers"] + status["services"])
    assert all(isinstance(s["pid"], int) and ":" in s["address"] for s in status["servers"])


def test_registers_become_energy_with_ratio_and_gap(stack: Stack, gw_a: Gateway) -> None:
    """Differences x ratio by hour; a step over 1.5 intervals is spread and marked; nothing after the last."""
    gw_a.send("ox", 1, *[reading("M-TOTAL", at(2, h), value=100 + h) for h in (0, 1, 2, 5)])
    until_hours(
        stack,
        "P-TOTAL",
        date(2024, 1, 2),
        [
            (0, 10.0, 0.0, 1.0),
            (1, 10.0, 0.0, 1.0),
            (2, 10.0, 10.0, 0.0),
            (3, 10.0, 10.0, 0.0),
            (4, 10.0, 10.0, 0.0),
        ],
    )
    day = stack.rows(
        """select consumption, estimated, completeness from api.energy_day
           where point_code='P-TOTAL' and period='2024-01-02'"""
    )
    assert day == [(pytest.approx(50), pytest.approx(30), pytest.approx(2 / 24))]


def test_late_reading_closes_the_gap(stack: Stack, gw_a: Gateway) -> None:
    """What arrives late puts the hours right by itself."""
    gw_a.send("ox", 2, reading("M-TOTAL", at(2, 3), value=102.5), reading("M-TOTAL", at(2, 4), value=104.5))
    until_hours(
        stack,
        "P-TOTAL",
        date(2024, 1, 2),
        [
            (0, 10.0, 0.0, 1.0),
            (1, 10.0, 0.0, 1.0),
            (2, 5.0, 0.0, 1.0),
            (3, 20.0, 0.0, 1.0),
            (4, 5.0, 0.0, 1.0),
        ],
    )


def test_repeat_conflict_and_correction(stack: Stack, gw_a: Gateway) -> None:
    """An equal value is a repeat, another a conflict that is kept beside, a correction takes its place."""
    before = ledger(stack, "gw-a")
    gw_a.send("ox", 3, reading("M-TOTAL", at(2, 5), value=105))
    gw_a.send("ox", 4, reading("M-TOTAL", at(2, 5), value=105.5))
    gw_a.send("ox", 5, reading("M-TOTAL", at(2, 5), value=105.5))
    value = "select value from api.reading where meter='M-TOTAL' and register='1.8.0' and ts=%s"
    assert stack.rows(value, at(2, 5)) == [(105.0,)]
    gw_a.send("ox", 6, reading("M-TOTAL", at(2, 5), value=106, correction=True))
    assert stack.rows(value, at(2, 5)) == [(106.0,)]
    gw_a.send("ox", 7, reading("M-TOTAL", at(2, 5), value=105))
    assert stack.rows(value, at(2, 5)) == [(106.0,)]
    assert ledger_since(stack, "gw-a", before) == {
        "received": 5,
        "stored": 1,
        "repeated": 3,
        "conflicting": 1,
        "rejected": 0,
    }
    until_hours(
        stack,
        "P-TOTAL",
        date(2024, 1, 2),
        [
            (0, 10.0, 0.0, 1.0),
            (1, 10.0, 0.0, 1.0),
            (2, 5.0, 0.0, 1.0),
            (3, 20.0, 0.0, 1.0),
            (4, 15.0, 0.0, 1.0),
        ],
    )


LEDGER = ("received", "stored", "repeated", "conflicting", "rejected")


def ledger(stack: Stack, gateway: str) -> dict[str, int]:
    """The books of a gateway over all days."""
    sums = ", ".join(f"coalesce(sum({c}), 0)::int" for c in LEDGER)
    query = f"select {sums} from api.ingest_ledger where gateway = %s"
    return dict(zip(LEDGER, stack.rows(query, gateway)[0], strict=True))


def ledger_since(stack: Stack, gateway: str, before: dict[str, int]) -> dict[str, int]:
    """What was booked since."""
    now = ledger(stack, gateway)
    return {c: now[c] - before[c] for c in LEDGER}


BAD = [
    ("bad_value", reading("M-TOTAL", at(3, 1), value=None)),
    ("bad_value", reading("M-TOTAL", at(3, 2), value="12")),
    ("bad_value", reading("M-TOTAL", at(3, 3), value=-1)),
    ("bad_value", reading("M-TOTAL", at(3, 3), value=float("nan"))),
    ("bad_value", reading("M-TOTAL", at(3, 3), value=True)),
    ("unknown_register", reading("M-TOTAL", at(3, 4), register="99.9.9", value=1)),
    ("bad_timestamp", reading("M-TOTAL", "2024-01-03T05:00:00", value=1)),
    ("bad_timestamp", reading("M-TOTAL", "2024-W01-3T05:00:00+08:00", value=1)),
    ("bad_timestamp", reading("M-TOTAL", "2024-01-03T24:00:00+08:00", value=1)),
    ("bad_timestamp", reading("M-TOTAL", "1704229200", value=1)),
    ("timestamp_out_of_range", reading("M-TOTAL", "1999-12-31T00:00:00+08:00", value=1)),
    (
        "timestamp_out_of_range",
        reading("M-TOTAL", (datetime.now(UTC) + timedelta(hours=2)).isoformat(), value=1),
    ),
    ("unknown_meter", reading("M-NOBODY", at(3, 5), value=1)),
    ("unauthorized", reading("M-HEAT", at(3, 5), register="6:1.0.0", value=1)),
]


@pytest.mark.parametrize(("number", "case"), list(enumerate(BAD)))
def test_a_bad_reading_is_named_and_costs_no_good_one(
    stack: Stack, gw_a: Gateway, number: int, case: tuple[str, dict[str, Any]]
) -> None:
    reason, bad = case
    before = ledger(stack, "gw-a")
    good = at(4, 1, minute=number)
    gw_a.send("bad", number, reading("M-WATER", good, "8:1.0.0", 5.0), bad)
    assert gw_a.acked("bad", number) == ("stored", None)
    assert stack.rows("select value from api.reading where meter='M-WATER' and ts=%s", good) == [(5.0,)]
    newest = stack.rows(
        "select reason, source_topic from api.reject where gateway='gw-a' order by received_at desc limit 1"
    )
    assert newest == [(reason, "nl/v1/gw-a/readings")]
    assert ledger_since(stack, "gw-a", before) == {
        "received": 2,
        "stored": 1,
        "repeated": 0,
        "conflicting": 0,
        "rejected": 1,
    }


@pytest.mark.parametrize(
    ("reason", "payload"),
    [
        ("malformed", b"\xff\xfe not json"),
        ("malformed", b"[1,2"),
        ("malformed", b"{}x"),
        ("unknown_version", b'{"v":2,"readings":[]}'),
        ("too_large", b'{"v":1,"readings":[' + b" " * (513 * 1024) + b"]}"),
    ],
)
def test_an_unusable_message_keeps_its_reason(
    stack: Stack, gw_a: Gateway, reason: str, payload: bytes
) -> None:
    count = "select count(*) from api.reject where gateway='gw-a' and reason=%s"
    before = stack.rows(count, reason)[0][0]
    gw_a.publish(payload)
    wait_for(lambda: stack.rows(count, reason)[0][0] == before + 1, f"a reject {reason}")


def test_a_message_of_which_all_is_rejected_says_so(gw_a: Gateway) -> None:
    gw_a.publish({"v": 1, "outbox": "all", "seq": 1, "readings": [reading("M-NOBODY", at(3, 5), value=1)]})
    assert gw_a.acked("all", 1) == ("rejected", "unknown_meter")
    gw_a.publish({"v": 1, "outbox": "all", "seq": 2, "readings": [reading("M-TOTAL", "yesterday", value=1)]})
    assert gw_a.acked("all", 2) == ("rejected", "bad_timestamp")


def test_epoch_times_in_seconds_and_milliseconds(stack: Stack, gw_a: Gateway) -> None:
    moment = int(datetime(2024, 1, 5, tzinfo=UTC).timestamp())
    gw_a.send(
        "ox",
        20,
        reading("M-WATER", moment, "8:1.0.0", 6),
        reading("M-WATER", (moment + 60) * 1000, "8:1.0.0", 6.5),
    )
    found = stack.rows(
        "select ts, value from api.reading where meter='M-WATER' and ts >= '2024-01-05' order by ts"
    )
    assert found == [
        (datetime(2024, 1, 5, tzinfo=UTC), 6.0),
        (datetime(2024, 1, 5, 0, 1, tzinfo=UTC), 6.5),
    ]


def test_nobody_publishes_as_another(stack: Stack, gw_a: Gateway, gw_b: Gateway) -> None:
    """The broker refuses it, and nothing arrives."""
    reason = gw_a.publish(
        {"v": 1, "readings": [reading("M-HEAT", at(6, 1), "6:1.0.0", 1)]}, topic="nl/v1/gw-b/readings"
    )
    assert reason.is_failure
    gw_b.send("b", 1, reading("M-HEAT", at(6, 2), "6:1.0.0", 1))
    assert stack.rows("select ts from api.reading where meter='M-HEAT'") == [
        (datetime(2024, 1, 5, 18, tzinfo=UTC),)
    ]


def test_wrong_password_and_removed_gateway_are_refused(stack: Stack) -> None:
    assert Gateway(stack, "gw-a-too", "nonsense").connack.is_failure
    password = stack.add_gateways("gw-gone")["gw-gone"]
    gateway = Gateway(stack, "gw-gone", password)
    assert not gateway.connack.is_failure
    gateway.close()
    stack.run("gateway", "remove", "gw-gone")
    assert Gateway(stack, "gw-gone", password).connack.is_failure


def test_heat_in_mwh_becomes_gj_and_a_register_rolls_over(stack: Stack, gw_b: Gateway) -> None:
    gw_b.send("b", 2, *[reading("M-HEAT", at(8, h), "6:1.0.0", 10 + h / 10) for h in range(3)])
    gw_b.send(
        "b", 3, *[reading("M-LIFT", at(8, h), value=v) for h, v in enumerate((9998.0, 9999.5, 1.0, 2.0))]
    )
    until_hours(stack, "P-HEAT", date(2024, 1, 8), [(0, 0.36, 0.0, 1.0), (1, 0.36, 0.0, 1.0)])
    until_hours(
        stack, "P-LIFT", date(2024, 1, 8), [(0, 1.5, 0.0, 1.0), (1, 1.5, 0.0, 1.0), (2, 1.0, 0.0, 1.0)]
    )
    items = stack.rows(
        """select item_code, consumption from api.site_energy_day
           where site_code='110105B902' and period='2024-01-08' order by 1"""
    )
    assert items[:3] == [
        ("01", pytest.approx(4.0)),
        ("01C", pytest.approx(4.0)),
        ("01C1", pytest.approx(4.0)),
    ]


def test_sub_meters_never_count_twice(stack: Stack, gw_a: Gateway) -> None:
    for meter, scale in (("M-TOTAL", 1.0), ("M-LIGHT", 2.0)):
        gw_a.send("sub", int(scale), *[reading(meter, at(9, h), value=200 + h * scale) for h in range(3)])
    query = """select item_code, consumption from api.site_energy_hour
               where site_code='110108A901' and period='2024-01-09T00:00:00+08:00' and item_code like '01%%'
               order by 1"""
    expected = [("01", 10.0), ("01A", 2.0), ("01A1", 2.0)]
    wait_for(lambda: stack.rows(query) == expected, f"{expected}")


def test_tce_of_electricity_by_both_values(stack: Stack) -> None:
    """Coal equivalent by calorific value is 0.1229 kgce/kWh; by equivalent value more."""
    rows = stack.rows(
        """select consumption, tce, tce_calorific, tco2 from api.site_energy_day
           where site_code='110108A901' and item_code='01' and period='2024-01-09'"""
    )
    consumption, tce, calorific, tco2 = rows[0]
    assert calorific == pytest.approx(consumption * 0.1229e-3)
    assert tce > 2 * calorific
    assert tco2 == pytest.approx(consumption * 0.604e-3)


def test_what_was_stored_with_no_point_becomes_energy(stack: Stack, gw_a: Gateway) -> None:
    """Readings outside every installation wait until the registry says whose they are."""
    gw_a.send(
        "np", 1, *[reading("M-WATER", f"2023-06-01T0{h}:00:00+08:00", "8:1.0.0", 50 + h) for h in range(3)]
    )
    query = "select point_code from api.reading where meter='M-WATER' and ts < '2024-01-01' limit 1"
    assert stack.rows(query) == [(None,)]
    row = "M-WATER,P-WATER,8:1.0.0,gw-a,json,m3,6,2,1,2023-05-01T00:00:00+08:00,2023-06-01T02:00:00+08:00,,52"
    stack.import_registry("earlier", installations=INSTALLATIONS.splitlines()[0] + f"\n{row},3600\n")
    until_hours(stack, "P-WATER", date(2023, 6, 1), [(0, 1.0, 0.0, 1.0), (1, 1.0, 0.0, 1.0)])
    assert stack.rows(query) == [("P-WATER",)]


def test_meter_replaced_with_end_and_start_values(stack: Stack, gw_a: Gateway) -> None:
    """The old meter's end and the new meter's start bound the energy like readings."""
    head = INSTALLATIONS.splitlines()[0]
    stack.import_registry(
        "replaced",
        points=POINTS.splitlines()[0] + "\nP-NEW,110108A901,01B,空调,P-TOTAL,\n",
        installations=f"""{head}
M-OLD,P-NEW,1.8.0,gw-a,json,kWh,6,2,1,2024-02-01T00:00:00+08:00,2024-02-02T01:30:00+08:00,,905,3600
M-YOUNG,P-NEW,1.8.0,gw-a,json,kWh,6,2,2,2024-02-02T01:30:00+08:00,,3,,3600
""",
    )
    gw_a.send("rp", 1, *[reading("M-OLD", at(2, h, month=2), value=900 + 2 * h) for h in (0, 1)])
    gw_a.send("rp", 2, *[reading("M-YOUNG", at(2, h, month=2), value=3 + v) for h, v in ((2, 1.0), (3, 3.0))])
    until_hours(
        stack, "P-NEW", date(2024, 2, 2), [(0, 2.0, 0.0, 1.0), (1, 3.0 + 2.0, 0.0, 1.0), (2, 4.0, 0.0, 1.0)]
    )


def test_registry_errors_name_file_and_line_and_import_nothing(stack: Stack) -> None:
    before = stack.rows("select count(*) from api.site")
    folder = stack.folder / "wrong"
    folder.mkdir()
    (folder / "sites.csv").write_text(
        SITES.splitlines()[0]
        + "\n110108A999,新,building,buildings,A,110108,1\n110108A998,x,castle,buildings,A,110108,y\n",
        encoding="utf-8",
    )
    stack.run("registry", "check", str(folder), code=1)
    stack.run("registry", "import", str(folder), code=2)
    assert stack.rows("select count(*) from api.site") == before


def test_registry_round_trip(stack: Stack) -> None:
    out = stack.folder / "exported"
    stack.run("registry", "export", str(out))
    sites = stack.rows("select * from api.site order by 1")
    stack.run("registry", "import", str(out))
    again = stack.folder / "exported-again"
    stack.run("registry", "export", str(again))
    assert {f.name: f.read_bytes() for f in out.iterdir()} == {
        f.name: f.read_bytes() for f in again.iterdir()
    }
    assert stack.rows("select * from api.site order by 1") == sites


def test_a_year_over_its_limit_opens_one_alert(stack: Stack, gw_a: Gateway) -> None:
    """Assessed by hand as of the last day: over, severe, once."""
    begin = datetime.fromisoformat(at(1, 0, month=3))
    times = [(begin + timedelta(hours=h)).isoformat() for h in range(24 * 10)]
    gw_a.send("yr", 1, *[reading("M-TOTAL", t, value=300 + n) for n, t in enumerate(times)])
    wait_for(
        lambda: (
            stack.rows(
                """select consumption from api.site_energy_month
               where site_code='110108A901' and item_code='01' and period='2024-03-01'"""
            )
            == [(pytest.approx(2390),)]
        ),
        "March",
    )
    stack.run("quota", "assess", "--as-of", "2024-03-10")
    stack.run("quota", "assess", "--as-of", "2024-03-10")
    used, limit, ratio, level = stack.rows(
        """select used, limit_value, used_ratio, level from api.quota_assessment
           where site_code='110108A901' and item_code='01' and as_of='2024-03-10'"""
    )[0]
    assert (limit, level) == (1000.0, "severe")
    assert ratio == pytest.approx(used / limit)
    alerts = json.loads(stack.run("alerts", "list", "--json"))
    rules = [a["rule"] for a in alerts if a["site_code"] == "110108A901"]
    assert rules
    assert len(rules) == len(set(rules))
    assert stack.rows("select count(*) from api.alert") == [(len(alerts),)]


def test_data_and_passwords_outlive_down_and_up(stack: Stack, passwords: dict[str, str]) -> None:
    before = stack.rows("select meter, register, ts, value from api.reading order by 1, 2, 3")
    stack.run("down")
    stack.run("up")
    del stack.__dict__["_url"]
    assert stack.rows("select meter, register, ts, value from api.reading order by 1, 2, 3") == before
    gateway = Gateway(stack, "gw-a", passwords["gw-a"])
    gateway.send("after", 1, reading("M-WATER", at(20, 1), "8:1.0.0", 77.0))
    gateway.close()
