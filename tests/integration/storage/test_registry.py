"""The registry on a real database: upsert by key, versions, round trip, and what an import means for energy."""

from __future__ import annotations

import json
import threading
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from metering.errors import InputFileError
from metering.meters import Contact, Installation, Point, Quota, Site
from metering.rules import Rules, RuleSetting, rule_names
from storage.registry import check_registry, import_quota_file, import_registry
from storage.registry_codes import RegistryCodes
from storage.registry_export import export_registry
from storage.registry_history import registry_history
from storage.registry_state import load_state
from storage.rules import load_rules

pytestmark = pytest.mark.integration

SITES = "site_code,name,kind,sector,building_type,district_code,floor_area_m2\n"
POINTS = "point_code,site_code,item_code,name,parent_point_code,rated_per_hour\n"
INSTALLATIONS = (
    "meter,point_code,register,gateway,protocol,unit,digits,decimals,ratio,installed_at,removed_at,"
    "start_value,end_value\n"
)
QUOTAS = "site_code,item_code,year,limit_value,method,base_years,reduction_percent,source,effective_from\n"
SITE = "A,Hall A,building,buildings,A,110108,5000\n"


@pytest.fixture(autouse=True)
def _empty(pipeline):
    """Every test starts with an empty registry."""
    clear(pipeline)


def clear(pipeline):
    for table in (
        "change",
        "reading",
        "root_span",
        "point_span",
        "validation_rule",
        "contact",
        "quota",
        "installation",
        "point",
        "site",
        "registry_change",
        "registry_version",
        "stream_offset",
    ):
        pipeline.execute(f"delete from nengliu.{table}")


def write(folder: Path, **files: str) -> Path:
    """A folder of CSV files."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def installation(
    meter="m1", point="A-T", register="1.8.0", start="2014-01-01", end="", ratio="1", gateway="gw1"
):
    removed = f"{end}T00:00:00+08:00" if end else ""
    return f"{meter},{point},{register},{gateway},json,kWh,6,2,{ratio},{start}T00:00:00+08:00,{removed},,\n"


def changes(pipeline):
    """Marks of points, and no more marks: (site, point, first local day, last local day)."""
    text = (
        "select site_code, point_code, (from_ts at time zone 'Asia/Shanghai')::date::text,"
        " (to_ts at time zone 'Asia/Shanghai')::date::text from nengliu.change c join nengliu.point using (point_id)"
        " join nengliu.site s on s.site_id = c.site_id order by 2, 3"
    )
    found = pipeline.execute(text).fetchall()
    pipeline.execute("delete from nengliu.change")
    return found


def roots(pipeline):
    text = (
        "select r.item_code, point_code, (from_ts at time zone 'Asia/Shanghai')::date::text,"
        " (to_ts at time zone 'Asia/Shanghai')::date::text from nengliu.root_span r"
        " join nengliu.point using (point_id) order by 1, 2, 3"
    )
    return pipeline.execute(text).fetchall()


TREE = POINTS + "A-T,A,01,Total,,\nA-L,A,01A,Light,A-T,\n"


def test_a_second_identical_import_makes_no_version_and_no_work(pipeline, tmp_path):
    folder = write(tmp_path, sites=SITES + SITE, points=TREE, installations=INSTALLATIONS + installation())
    assert import_registry(pipeline, folder, "li").version is not None
    changes(pipeline)
    again = import_registry(pipeline, folder, "li")
    assert again.version is None
    assert again.counts["installation"].same == 1
    assert changes(pipeline) == []
    assert pipeline.execute("select count(*) from nengliu.registry_version").fetchone() == (1,)


def test_every_import_is_a_version_that_says_what_was_before(pipeline, tmp_path):
    first = import_registry(pipeline, write(tmp_path, sites=SITES + SITE), "li", note="start")
    second = import_registry(pipeline, write(tmp_path, sites=SITES + SITE.replace("5000", "6000")), "wang")
    assert second.version > first.version
    text = (
        "select actor, kind, key, before ->> 'floor_area_m2', after ->> 'floor_area_m2'"
        " from nengliu.registry_version join nengliu.registry_change using (version) order by version"
    )
    assert pipeline.execute(text).fetchall() == [
        ("li", "site", '["A"]', None, "5000.0"),
        ("wang", "site", '["A"]', "5000.0", "6000.0"),
    ]


def test_what_is_absent_is_not_deleted(pipeline, tmp_path):
    import_registry(pipeline, write(tmp_path / "a", sites=SITES + SITE, points=TREE), "li")
    import_registry(pipeline, write(tmp_path / "b", points=POINTS + "A-B,A,01B,HVAC,A-T,\n"), "li")
    assert pipeline.execute("select count(*) from nengliu.point").fetchone() == (3,)


def test_one_wrong_row_and_nothing_is_taken_in(pipeline, tmp_path):
    folder = write(tmp_path, sites=SITES + SITE, points=TREE + "A-X,B,01,x,,\n")
    with pytest.raises(InputFileError) as caught:
        import_registry(pipeline, folder, "li")
    assert caught.value.problems == ["points.csv:4: site_code 'B' is not known; add it to sites.csv"]
    assert pipeline.execute("select count(*) from nengliu.site").fetchone() == (0,)


def test_rows_are_checked_against_what_is_stored(pipeline, tmp_path):
    import_registry(
        pipeline,
        write(tmp_path / "a", sites=SITES + SITE, points=TREE, installations=INSTALLATIONS + installation()),
        "li",
    )
    b = write(tmp_path / "b", installations=INSTALLATIONS + installation(point="A-L", start="2014-05-01"))
    with pytest.raises(
        InputFileError, match=r"installations.csv:2: .*installed already at A-T.*in the registry"
    ):
        check_registry(pipeline, b)
    c = write(tmp_path / "c", points=POINTS + "A-T,A,02,Total,,\n")
    with pytest.raises(InputFileError, match=r"points.csv:2: unit 'kWh' of register 1.8.0"):
        import_registry(pipeline, c, "li")
    d = write(tmp_path / "d", points=POINTS + "A-T,A,01,Total,A-L,\n")
    with pytest.raises(InputFileError, match=r"points.csv:2: parents go round"):
        import_registry(pipeline, d, "li")


def test_a_check_changes_nothing(pipeline, tmp_path):
    counts = check_registry(pipeline, write(tmp_path, sites=SITES + SITE)).counts
    assert counts["site"].new == 1
    assert pipeline.execute("select count(*) from nengliu.site").fetchone() == (0,)


def test_settings_may_add_kinds(pipeline, tmp_path):
    folder = write(tmp_path, sites=SITES + SITE.replace(",building,", ",port,"))
    with pytest.raises(InputFileError, match="kind 'port'"):
        import_registry(pipeline, folder, "li")
    assert import_registry(pipeline, folder, "li", RegistryCodes({"kind": ("port",)})).version


def test_quotas_come_alone_too_and_a_later_row_replaces_by_key(pipeline, tmp_path):
    import_registry(pipeline, write(tmp_path, sites=SITES + SITE), "li")
    path = tmp_path / "limits-2014.csv"
    path.write_text(QUOTAS + "A,01,2014,,base_year,2011,6,notice,2014-01-01\n")
    assert import_quota_file(pipeline, path, "li").counts["quota"].new == 1
    path.write_text(QUOTAS + "A,01,2014,5000,manual,2009;2010,,notice,2014-01-01\n")
    assert import_quota_file(pipeline, path, "li").counts["quota"].changed == 1
    text = "select limit_value, method, base_years, reduction_percent from nengliu.quota"
    assert pipeline.execute(text).fetchall() == [(5000.0, "manual", [2009, 2010], None)]


# ---------------------------------------------------------------- energy


def test_a_point_is_marked_for_as_long_as_it_is_installed(pipeline, tmp_path):
    import_registry(
        pipeline,
        write(
            tmp_path,
            sites=SITES + SITE,
            points=TREE,
            installations=INSTALLATIONS + installation(end="2014-03-01") + installation("m2", "A-L", "2.8.0"),
        ),
        "li",
    )
    marked = changes(pipeline)
    assert marked[1:] == [("A", "A-T", "2014-01-01", "2014-03-01")]
    assert pipeline.execute("select count(*) from nengliu.point_span").fetchone() == (1,)


def test_a_replacement_marks_only_what_it_changes(pipeline, tmp_path):
    base = {"sites": SITES + SITE, "points": TREE}
    import_registry(pipeline, write(tmp_path, **base, installations=INSTALLATIONS + installation()), "li")
    changes(pipeline)
    rows = installation(end="2014-06-01") + installation("m2", start="2014-06-01")
    import_registry(pipeline, write(tmp_path, **base, installations=INSTALLATIONS + rows), "li")
    ((site, point, since, _),) = open_marks(pipeline)
    assert (site, point, since) == ("A", "A-T", "2014-06-01")


def open_marks(pipeline):
    """Marks that reach to infinity."""
    text = (
        "select site_code, point_code, (from_ts at time zone 'Asia/Shanghai')::date::text, to_ts::text"
        " from nengliu.change c join nengliu.point using (point_id) join nengliu.site s on s.site_id = c.site_id"
    )
    found = pipeline.execute(text).fetchall()
    assert all(row[3] == "infinity" for row in found)
    pipeline.execute("delete from nengliu.change")
    return found


@pytest.mark.parametrize(
    ("column", "touches"),
    [("ratio", True), ("gateway", False)],
)
def test_only_what_energy_depends_on_marks(pipeline, tmp_path, column, touches):
    base = {"sites": SITES + SITE, "points": TREE}
    import_registry(
        pipeline, write(tmp_path, **base, installations=INSTALLATIONS + installation(end="2014-02-01")), "li"
    )
    changes(pipeline)
    other = {"ratio": {"ratio": "20"}, "gateway": {"gateway": "gw9"}}[column]
    rows = INSTALLATIONS + installation(end="2014-02-01", **other)
    assert import_registry(pipeline, write(tmp_path, **base, installations=rows), "li").version
    assert changes(pipeline) == ([("A", "A-T", "2014-01-01", "2014-02-01")] if touches else [])


def test_a_total_that_is_installed_later_takes_the_count_from_its_sub_meter(pipeline, tmp_path):
    base = {"sites": SITES + SITE, "points": TREE}
    rows = installation("m2", "A-L", end="2014-12-01")
    import_registry(pipeline, write(tmp_path, **base, installations=INSTALLATIONS + rows), "li")
    changes(pipeline)
    assert roots(pipeline) == [
        ("01", "A-L", "2014-01-01", "2014-12-01"),
        ("01A", "A-L", "2014-01-01", "2014-12-01"),
    ]
    rows = installation("m1", "A-T", start="2014-03-01", end="2014-09-01")
    import_registry(pipeline, write(tmp_path, installations=INSTALLATIONS + rows), "li")
    assert roots(pipeline) == [
        ("01", "A-L", "2014-01-01", "2014-03-01"),
        ("01", "A-L", "2014-09-01", "2014-12-01"),
        ("01", "A-T", "2014-03-01", "2014-09-01"),
        ("01A", "A-L", "2014-01-01", "2014-12-01"),
    ]
    assert changes(pipeline) == [
        ("A", "A-L", "2014-03-01", "2014-09-01"),
        ("A", "A-T", "2014-03-01", "2014-09-01"),
    ]


def test_voiding_an_installation_takes_its_energy_back(pipeline, tmp_path):
    base = {"sites": SITES + SITE, "points": TREE}
    import_registry(
        pipeline, write(tmp_path, **base, installations=INSTALLATIONS + installation(end="2014-02-01")), "li"
    )
    changes(pipeline)
    rows = INSTALLATIONS + installation(end="2014-01-01")
    import_registry(pipeline, write(tmp_path, installations=rows), "li")
    assert changes(pipeline) == [("A", "A-T", "2014-01-01", "2014-02-01")]
    assert roots(pipeline) == []


def test_a_point_that_moves_to_another_site_is_marked_at_both(pipeline, tmp_path):
    two = SITES + SITE + SITE.replace("A,", "B,", 1)
    rows = INSTALLATIONS + installation(end="2014-02-01")
    import_registry(pipeline, write(tmp_path, sites=two, points=TREE, installations=rows), "li")
    changes(pipeline)
    import_registry(pipeline, write(tmp_path, points=POINTS + "A-L,A,01A,Light,,\nA-T,B,01,Total,,\n"), "li")
    assert {row[0] for row in changes(pipeline)} == {"A", "B"}


def test_an_import_ends_only_after_writers_that_began_with_the_old_registry(
    database, pipeline, new_feed, tmp_path
):
    """Else a reading that they store without a point would never be marked."""
    import_registry(
        pipeline,
        write(tmp_path, sites=SITES + SITE, points=TREE, installations=INSTALLATIONS + installation()),
        "li",
    )
    feed = new_feed()
    feed.send("gw1", ("m1", "1.8.0", 1_400_000_000_000_000, 1.0, False))
    done = threading.Event()

    def import_more():
        with psycopg.connect(database.pipeline_url, autocommit=True) as connection:
            rows = INSTALLATIONS + installation("m2", "A-L")
            import_registry(connection, write(tmp_path / "more", installations=rows), "li")
        done.set()

    waiting = "select 1 from pg_locks where locktype = 'advisory' and not granted"
    with psycopg.connect(database.pipeline_url) as writer:
        from storage import locks

        writer.execute("select pg_advisory_xact_lock_shared(%s)", [locks.REGISTRY])
        thread = threading.Thread(target=import_more)
        thread.start()
        while not pipeline.execute(waiting).fetchone():
            assert thread.is_alive()
        assert not done.is_set()
    thread.join(60)
    assert done.is_set()
    assert feed.send("gw1", ("m2", "1.8.0", 1_400_000_000_000_000, 1.0, False)).stored == 1


# ---------------------------------------------------------------- round trip

names = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=12)
words = st.text(st.characters(exclude_categories=("C",)), min_size=1, max_size=12).map(str.strip).filter(bool)
numbers = st.floats(0.001, 1e9) | st.integers(1, 10**9).map(float)
offsets = st.integers(-12, 14).map(lambda h: timezone(timedelta(hours=h)))
moments = st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=offsets)  # noqa: DTZ001


@st.composite
def registries(draw):
    """Rows that fit together, each code its own."""
    count = draw(st.integers(1, 3))
    sites = [
        Site(
            f"S{n}",
            draw(words),
            "building",
            "buildings",
            draw(st.none() | words),
            "110108",
            draw(st.none() | numbers),
        )
        for n in range(count)
    ]
    points = [
        Point(f"P{n}", s.site_code, "01", draw(words), None, draw(st.none() | numbers))
        for n, s in enumerate(sites)
    ] + [Point(f"Q{n}", s.site_code, "01A", draw(words), f"P{n}") for n, s in enumerate(sites)]
    installations = []
    for n, point in enumerate(points):
        since, until = sorted([draw(moments), draw(moments)])
        closed = draw(st.booleans())
        end = draw(st.none() | st.floats(0, 999)) if closed else None
        installations.append(
            Installation(
                f"m{n}", point.point_code, "1.8.0", "gw1", "json", "kWh", 6, 2, draw(numbers), since,
                until if closed else None, draw(st.none() | st.floats(0, 999)), end, draw(st.integers(1, 86400)),
                draw(st.none() | names),
            )
        )  # fmt: skip
    quotas = [
        Quota("S0", "01", 2014, draw(numbers), "manual", (2009, 2011), 6.5, draw(words), date(2014, 1, 1))
    ]
    contacts = [
        Contact(scope, draw(words), "zh", "email", "li@example.org", "major") for scope in ("S0", "city")
    ]
    rules = [
        RuleSetting("point", "P0", rule, draw(st.none() | numbers), draw(st.none() | words))
        for rule in rule_names()
    ]
    return sites, points, installations, quotas, contacts, rules


@given(registries())
@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_an_export_imported_again_is_the_same_registry(pipeline, tmp_path_factory, rows):
    from storage.registry_export import write_file
    from storage.registry_files import CONTACTS
    from storage.registry_files import INSTALLATIONS as LAYOUT
    from storage.registry_files import POINTS as P
    from storage.registry_files import QUOTAS as Q
    from storage.registry_files import RULES as R
    from storage.registry_files import SITES as S

    clear(pipeline)
    given_folder = tmp_path_factory.mktemp("given")
    for layout, those in zip((S, P, LAYOUT, Q, CONTACTS, R), rows, strict=True):
        write_file(given_folder / layout.name, layout, those, UTC)
    import_registry(pipeline, given_folder, "test")
    with pipeline.cursor() as cursor:
        state = load_state(cursor)
    assert list(state.sites.values()) == rows[0]
    assert sorted(state.installations.values(), key=LAYOUT.key) == sorted(rows[2], key=LAYOUT.key)
    assert list(state.quotas.values()) == rows[3]
    assert sorted(state.rules.values(), key=R.key) == sorted(rows[5], key=R.key)

    exported = tmp_path_factory.mktemp("exported")
    export_registry(pipeline, exported)
    assert import_registry(pipeline, exported, "test").version is None
    clear(pipeline)
    import_registry(pipeline, exported, "test")
    with pipeline.cursor() as cursor:
        assert load_state(cursor) == state
    again = tmp_path_factory.mktemp("again")
    export_registry(pipeline, again)
    for path in exported.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes()


# ---------------------------------------------------------------- history


def test_the_history_says_what_each_import_changed_from_what_to_what(pipeline, tmp_path, nengliu):
    base = {"sites": SITES + SITE + SITE.replace("A,", "B,", 1), "points": TREE + "B-T,B,01,Total,,\n"}
    rows = installation(end="2014-02-01") + installation("m9", "B-T")
    first = import_registry(
        pipeline, write(tmp_path, **base, installations=INSTALLATIONS + rows), "li", note="start"
    )
    rows = installation(end="2014-03-01", ratio="20") + installation("m9", "B-T")
    second = import_registry(pipeline, write(tmp_path, installations=INSTALLATIONS + rows), "wang")

    of_meter = registry_history(pipeline, meter="m1")
    assert [(v.version, v.actor, v.note, v.new) for v in of_meter] == [
        (first.version, "li", "start", True),
        (second.version, "wang", None, False),
    ]
    assert of_meter[1].changed["ratio"] == (1.0, 20.0)
    assert set(of_meter[1].changed) == {"ratio", "removed_at"}
    assert {v.kind for v in registry_history(pipeline, site="A")} == {"site", "point", "installation"}
    assert {v.key[0] for v in registry_history(pipeline, site="A")} == {"A", "A-T", "A-L", "m1"}
    assert {v.key[0] for v in registry_history(pipeline, point="A-T")} == {"A-T", "m1"}
    assert registry_history(pipeline, site="A", meter="m9") == []

    shown = nengliu("registry", "history", "--meter", "m1", "--json")
    assert [v["changed"].get("ratio") for v in json.loads(shown.stdout)] == [[None, 1.0], [1.0, 20.0]]
    table = nengliu("registry", "history", "--site", "A")
    assert table.returncode == 0
    assert "ratio: 1.0 -> 20.0" in table.stdout


def test_a_point_whose_item_changes_medium_under_its_meter_is_refused(pipeline, tmp_path):
    points = POINTS + "A-W,A,02,Water,,\n"
    water = installation("w", "A-W", "8:1.0.0").replace(",kWh,", ",m3,")
    import_registry(
        pipeline,
        write(tmp_path, sites=SITES + SITE, points=points, installations=INSTALLATIONS + water),
        "li",
    )
    for item, said in (("01", "unit 'm3' of register 8:1.0.0"), ("03", "register 8:1.0.0 measures water")):
        folder = write(tmp_path / item, points=POINTS + f"A-W,A,{item},Water,,\n")
        with pytest.raises(InputFileError, match=rf"points.csv:2: {said}"):
            import_registry(pipeline, folder, "li")
    assert pipeline.execute("select item_code from nengliu.point").fetchall() == [("02",)]


# ---------------------------------------------------------------- rules of validation

RULES = "scope,key,rule,value,note\n"
MODELS = INSTALLATIONS.replace("end_value\n", "end_value,model\n")


def with_model(row: str, model: str) -> str:
    return f"{row.rstrip()},{model}\n"


@pytest.fixture
def two_models(pipeline, tmp_path):
    """A total of no known model, a meter of model X below it, one of model Y that was replaced by one of X."""
    rows = (
        with_model(installation(end="2014-09-01"), "")
        + with_model(installation("m2", "A-L", end="2014-09-01"), "X")
        + with_model(installation("m3", "A-P", end="2014-05-01"), "Y")
        + with_model(installation("m4", "A-P", start="2014-05-01", end="2014-09-01"), "X")
    )
    points = TREE + "A-P,A,01B1,Plant,A-T,\n"
    import_registry(
        pipeline, write(tmp_path, sites=SITES + SITE, points=points, installations=MODELS + rows), "li"
    )
    changes(pipeline)
    return rows


TOTAL = ("A", "A-T", "2014-01-01", "2014-09-01")
LIGHT = ("A", "A-L", "2014-01-01", "2014-09-01")
PLANT = ("A", "A-P", "2014-01-01", "2014-09-01")
PLANT_X = ("A", "A-P", "2014-05-01", "2014-09-01")


@pytest.mark.parametrize(
    ("rule", "marked"),
    [
        ("item,01,rated_margin,3,why", [LIGHT, PLANT, TOTAL]),
        ("item,01B,rated_margin,3,", [PLANT]),
        ("item,03,rated_margin,3,", []),
        ("model,X,still_days,14,", [LIGHT, PLANT_X]),
        ("model,Z,still_days,14,", []),
        ("point,A-L,rate_margin,5,", [LIGHT]),
        ("point,A-L,rate_margin,10,as shipped", []),
    ],
)
def test_a_rule_that_is_set_marks_the_points_that_it_judges_for_all_their_time(
    pipeline, tmp_path, two_models, rule, marked
):
    folder = write(tmp_path / "rules", rules=RULES + rule + "\n")
    assert import_registry(pipeline, folder, "li").counts["rule"].new == 1
    assert changes(pipeline) == marked
    scope, key, name, _, _ = rule.split(",")
    write(folder, rules=RULES + f"{scope},{key},{name},,taken back\n")
    assert import_registry(pipeline, folder, "li").counts["rule"].changed == 1
    assert changes(pipeline) == marked
    with pipeline.cursor() as cursor:
        assert load_rules(cursor).of("01A", "X", "A-L") == Rules()


def test_a_rule_that_a_stronger_one_hides_marks_nothing(pipeline, tmp_path, two_models):
    import_registry(pipeline, write(tmp_path / "a", rules=RULES + "point,A-L,rated_margin,3,\n"), "li")
    changes(pipeline)
    import_registry(pipeline, write(tmp_path / "b", rules=RULES + "item,01A,rated_margin,4,\n"), "li")
    assert changes(pipeline) == []


def test_a_model_that_is_corrected_marks_only_where_rules_are_set_for_it(pipeline, tmp_path, two_models):
    other = write(tmp_path / "a", installations=MODELS + two_models.replace(",X\n", ",W\n"))
    assert import_registry(pipeline, other, "li").counts["installation"].changed == 2
    assert changes(pipeline) == []
    import_registry(pipeline, write(tmp_path / "b", rules=RULES + "model,X,rated_margin,3,\n"), "li")
    assert changes(pipeline) == []
    import_registry(pipeline, write(tmp_path / "c", installations=MODELS + two_models), "li")
    assert changes(pipeline) == [LIGHT, PLANT_X]


def test_the_loader_gives_each_installation_its_rules(pipeline, tmp_path, two_models):
    text = "item,01,rated_margin,3,\nitem,01B1,rated_margin,4,\nmodel,X,still_days,14,\npoint,A-P,still_days,7,\n"
    import_registry(pipeline, write(tmp_path / "a", rules=RULES + text), "li")
    with pipeline.cursor() as cursor:
        book = load_rules(cursor)
    assert book.of("01", None, "A-T") == Rules(rated_margin=3.0)
    assert book.of("01A", "X", "A-L") == Rules(rated_margin=3.0, still_days=14.0)
    assert book.of("01B1", "X", "A-P") == Rules(rated_margin=4.0, still_days=7.0)
    assert {v.key for v in registry_history(pipeline, point="A-P") if v.kind == "rule"} == {
        ("point", "A-P", "still_days")
    }


def test_a_rule_for_a_point_that_is_not_there_takes_nothing_in(pipeline, tmp_path, two_models):
    folder = write(tmp_path / "a", rules=RULES + "item,01,rated_margin,3,\npoint,B-T,rated_margin,3,\n")
    with pytest.raises(InputFileError, match=r"rules.csv:3: point 'B-T' is not known; add it to points.csv"):
        import_registry(pipeline, folder, "li")
    assert pipeline.execute("select count(*) from nengliu.validation_rule").fetchone() == (0,)
