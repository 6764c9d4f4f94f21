"""Who is told of an alert, when, and how often: the outbox against a real database, mail against a real SMTP server."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from email.message import EmailMessage

import psycopg
import pytest

from alerts.alert_hand import ByPerson, acknowledge_alert, close_alert
from alerts.alert_rows import NewAlert, open_alert
from alerts.lifecycle import Action, State, Transition
from alerts.notify.errors import DeliveryError
from alerts.notify.policy import QuietHours
from alerts.notify.store import lease_batch, make_digests, mark_failed, mark_sent, read_counts, release
from alerts.sql import query
from deploy.services.work import notification_keeper
from tests.integration.notify_support import EAGER, FOLLOW_UP, MailServer, Place, at, emptied, running, seed
from tests.integration.test_worker import wait_for

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def seeded(database):
    return seed(database)


@pytest.fixture
def place(seeded) -> Place:
    return emptied(seeded)


def told(place: Place) -> set[tuple[str, str]]:
    return set(place.rows("select address, to_state from nengliu.notification"))


def test_whoever_listens_to_a_site_its_district_sector_or_the_city_is_told_once(place):
    place.contact("site@x.example")
    place.contact("other@x.example", scope="110105B002")
    place.contact("district@x.example", scope="district:110108")
    place.contact("district2@x.example", scope="district:110105")
    place.contact("sector@x.example", scope="sector:buildings")
    place.contact("sector2@x.example", scope="sector:industry")
    place.contact("city@x.example", scope="city")
    place.contact("site@x.example", scope="city", language="en")
    place.alert()
    assert {a for a, _ in told(place)} == {f"{w}@x.example" for w in ("site", "district", "sector", "city")}
    assert place.rows("select language from nengliu.notification where address = 'site@x.example'") == [
        ("zh",)
    ]


@pytest.mark.parametrize(("severity", "who"), [("warning", "w"), ("major", "wm"), ("critical", "wmc")])
def test_a_contact_is_told_from_its_severity_on(place, severity, who):
    for name, from_ in (("w", "warning"), ("m", "major"), ("c", "critical"), ("n", "none")):
        place.contact(f"{name}@x.example", severity=from_)
    place.alert(severity=severity)
    assert {a[0] for a, _ in told(place)} == set(who)


def test_what_comes_later_is_told_to_those_who_were_told_of_it_but_for_who_did_it(place):
    place.contact("li@x.example", name="Li")
    place.contact("wang@x.example", name="Wang", scope="city", language="en")
    alert = place.alert()
    place.contact("new@x.example", name="New", scope="city")
    now = datetime(2014, 9, 2, tzinfo=UTC)
    with psycopg.connect(place.worker_url) as conn:
        acknowledge_alert(conn, alert, ByPerson("Li", now, "on it"), FOLLOW_UP)
    with psycopg.connect(place.worker_url) as conn:
        close_alert(conn, alert, ByPerson("admin", now), FOLLOW_UP)
    assert told(place) == {
        ("li@x.example", "confirmed"),
        ("wang@x.example", "confirmed"),
        ("wang@x.example", "acknowledged"),
        ("li@x.example", "resolved"),
        ("wang@x.example", "resolved"),
    }
    keys = place.rows("select key, length(key) from nengliu.notification")
    assert len(set(keys)) == 5
    assert {length for _, length in keys} == {40}


def test_a_transition_that_is_rolled_back_tells_nobody(place):
    place.contact("li@x.example", name="Li")
    place.contact("wang@x.example", name="Wang")
    alert = place.alert()
    with psycopg.connect(place.url) as conn:
        acknowledge_alert(conn, alert, ByPerson("Li", datetime.now(UTC)), FOLLOW_UP)
        conn.rollback()
    assert {state for _, state in told(place)} == {"confirmed"}


def test_a_mail_says_what_happened_in_the_contacts_language_with_the_chart_inside(place):
    place.contact("li@x.example", name="李工")
    place.contact("wang@x.example", name="Wang", language="en")
    place.alert()
    with MailServer() as server:
        place.sender(server).run_until_idle()
        zh, en = sorted(server.taken, key=lambda m: m["To"], reverse=True)[::-1]
    zh, en = (zh, en) if "li@" in zh["To"] else (en, zh)
    assert "新预警" in zh["Subject"]
    assert "预测将超限额" in zh["Subject"]
    assert "new alert" in en["Subject"]
    for mail in (zh, en):
        assert mail["From"].addresses[0].addr_spec == "alerts@nengliu.example"
        assert mail["Message-ID"] == f"<{mail['X-Nengliu-Key']}@nengliu.example>"
        assert mail["Auto-Submitted"] == "auto-generated"
        plain = mail.get_body(("plain",)).get_content()
        html = mail.get_body(("html",)).get_content()
        for figure in ("30.0 MWh", "36.0 MWh", "83.3%", "37.6 MWh", "2014-11-12", "99.5%"):
            assert figure in plain
            assert figure in html
        assert "https://nengliu.example/a/" in plain
        (chart,) = [part for part in mail.walk() if part.get_content_type() == "image/png"]
        assert chart["Content-ID"] == "<chart>"
        assert 'src="cid:chart"' in html
        assert chart.get_content().startswith(b"\x89PNG")
    assert "建议" in zh.get_body(("plain",)).get_content()
    assert "What to do" in en.get_body(("plain",)).get_content()
    assert place.states() == {"sent": 2}


def test_what_a_name_holds_stays_text(place):
    place.rows("update nengliu.site set name = 'Hall <script>x</script>' where site_code = '110108A001'")
    try:
        place.contact("li@x.example", name='Li "<b>", Bcc: x@y.example')
        place.alert()
        with MailServer() as server:
            place.sender(server).run_until_idle()
            (mail,) = server.taken
    finally:
        place.rows("update nengliu.site set name = '甲楼 · House A' where site_code = '110108A001'")
    assert "<script>" not in mail.get_body(("html",)).get_content()
    assert mail["Bcc"] is None
    assert mail["To"].addresses[0].addr_spec == "li@x.example"


def test_a_name_of_several_lines_stays_in_the_subject_and_a_long_one_leaves_room(place):
    name = "Hall\r\nBcc: x@y.example\r\n\r\n\u202eodd\x07 " + "long " * 60
    place.rows("update nengliu.site set name = %s where site_code = '110108A001'", (name,))
    try:
        place.contact("li@x.example", name="Li\nBcc: x@y.example", language="en")
        place.alert()
        with MailServer() as server:
            place.sender(server).run_until_idle()
            (mail,) = server.taken
    finally:
        place.rows("update nengliu.site set name = '甲楼 · House A' where site_code = '110108A001'")
    assert mail["Subject"].startswith("[nengliu] new alert: Hall Bcc: x@y.example odd long")
    assert "…, electricity 2014: forecast over the limit" in mail["Subject"]
    assert len(mail["Subject"]) < 160
    assert mail["Bcc"] is None
    text = mail.get_body(("plain",)).get_content()
    assert text.startswith("Dear Li Bcc: x@y.example,")
    assert "\nBcc" not in text


def test_an_examples_address_is_neither_told_nor_counted(place):
    """As of generated sites: with no mail server in the settings there is nothing to warn of."""
    place.contact("110108A001@example.org", name="A")
    place.contact("https://hooks.example.com/x", name="B", channel="webhook")
    place.contact("li@example.org.cn", name="Li")
    alert = place.alert()
    place.alert("provisional", year=2013)
    assert place.states() == {"dropped": 4, "waiting": 1, "held": 1}
    assert {r for (r,) in place.rows("select reason from nengliu.notification where state = 'dropped'")} == {
        "an example's address (RFC 2606): nobody is there"
    }
    place.step(alert, Action.RESOLVED, State.RESOLVED)
    assert place.states() == {"dropped": 4, "waiting": 2, "held": 1}
    place.rows("update nengliu.notification set state = 'waiting' where name = 'A'")  # from before
    with MailServer() as server:
        place.sender(server).run_until_idle()
        assert {m["To"].addresses[0].addr_spec for m in server.taken} == {"li@example.org.cn"}
    assert place.states() == {"dropped": 4, "sent": 2, "held": 1}


def test_what_was_delivered_long_ago_goes_where_a_setting_says_so_and_nothing_else(place, settings):
    place.contact("li@x.example", name="Li")
    over, still = place.alert(), place.alert(year=2013)
    place.rows("update nengliu.notification set state = 'sent', sent_at = clock_timestamp()")
    place.step(over, Action.RESOLVED, State.RESOLVED)  # its second notification waits
    place.rows(
        "insert into nengliu.notification (key, kind, severity, name, language, channel, address, route, state, "
        "sent_at) values ('d', 'digest', 'warning', 'Li', 'zh', 'email', 'li@x.example', 'email', 'sent', now())"
    )
    place.rows(
        "insert into nengliu.notification (key, kind, alert_id, transition_no, severity, name, language, channel, "
        "address, route, state, digest_id) select 'k' || s, 'alert', %s, 1, 'warning', s, 'zh', 'email', "
        "'li@x.example', 'email', s, case s when 'digested' then (select notification_id from nengliu.notification "
        "where key = 'd') end from unnest(array['failed', 'held', 'digested', 'dropped']) s",
        (over,),
    )

    def keep(years: int | None) -> dict[str, int]:
        notification_keeper(settings.model_copy(update={"notifications_keep_years": years}), place.connect)()
        return place.states()

    everything = {"sent": 3, "waiting": 1, "failed": 1, "held": 1, "digested": 1, "dropped": 1}
    assert keep(1) == everything, "it is of today"
    place.rows(
        "update nengliu.notification set created_at = created_at - interval '380 days', "
        "sent_at = sent_at - interval '380 days'"
    )
    assert keep(None) == keep(2) == everything
    longer = settings.model_copy(update={"notifications_keep_years": 1, "link_days": 400})
    notification_keeper(longer, place.connect)()
    assert place.states() == everything, "their links still hold"
    assert keep(1) == {"sent": 1, "waiting": 1, "failed": 1, "held": 1}
    assert place.rows("select alert_id from nengliu.notification where state = 'sent'") == [(still,)]
    assert place.rows("select count(*) from api.alert_transition where alert_id = %s", (over,)) == [(2,)]


QUIET = replace(EAGER, quiet=QuietHours(time(22), time(7)), digest_at=time(8))


def test_at_night_only_what_is_critical_is_sent_and_the_digest_tells_the_rest_in_the_morning(place):
    place.contact("li@x.example", name="Li", language="en")
    place.alert()
    place.alert(rule="quota_severe", severity="critical")
    with MailServer() as server:
        place.sender(server, policy=QUIET, clock=at("2099-11-28T23:00:00")).run_until_idle()
        assert place.states() == {"sent": 1, "held": 1}
        assert "critical" in server.taken[0].get_body(("plain",)).get_content()
        place.rows("update nengliu.notification set held_at = '2099-11-28T23:00+08' where state = 'held'")
        place.sender(server, policy=QUIET, clock=at("2099-11-29T07:59:00")).run_until_idle()
        assert place.states() == {"sent": 1, "held": 1}
        place.sender(server, policy=QUIET, clock=at("2099-11-29T08:00:00")).run_until_idle()
        assert place.states() == {"sent": 2, "digested": 1}
        digest = server.taken[-1]
        place.sender(server, policy=QUIET, clock=at("2099-11-30T08:00:00")).run_until_idle()
        assert len(server.taken) == 2
    text = digest.get_body(("plain",)).get_content()
    assert "alerts of the day" in digest["Subject"]
    assert "forecast over the limit" in text
    assert text.count("https://nengliu.example/a/") == 1


def test_over_the_rate_what_is_left_goes_into_one_digest_for_each_contact(place):
    policy = replace(EAGER, per_hour=3)
    place.contact("li@x.example", name="Li")
    place.contact("wang@x.example", name="Wang", scope="city")
    for year in range(2000, 2010):
        place.alert(year=year)
    with MailServer() as server:
        place.sender(server, policy=policy).run_until_idle()
        assert place.states() == {"sent": 6, "held": 14}
        tomorrow = datetime.now(UTC) + timedelta(days=1, hours=1)
        place.sender(server, policy=policy, clock=lambda _: tomorrow).run_until_idle()
        assert place.states() == {"sent": 8, "digested": 14}
        digests = [m.get_body(("plain",)).get_content() for m in server.taken[6:]]
    assert all("7. " in d and "8. " not in d for d in digests)


def test_two_senders_together_keep_the_rate(place):
    policy = replace(EAGER, per_hour=4)
    place.contact("li@x.example", name="Li")
    for year in range(2000, 2010):
        place.alert(year=year)
    with place.connect() as one, place.connect() as two:
        one.autocommit = two.autocommit = True
        first = lease_batch(one, policy, lease="a", lease_for=timedelta(minutes=1), limit=3)
        second = lease_batch(two, policy, lease="b", lease_for=timedelta(minutes=1), limit=10)
    assert (len(first), len(second)) == (3, 1)
    assert not {r.key for r in first} & {r.key for r in second}
    assert place.states() == {"waiting": 4, "held": 6}


def test_what_is_provisional_waits_for_the_digest_and_is_dropped_where_it_was_confirmed_since(place):
    place.contact("li@x.example", name="Li")
    alert = place.alert("provisional", rule="quota_over", severity="major")
    other = place.alert("provisional", rule="quota_over", severity="major", year=2013)
    assert place.states() == {"held": 2}
    place.step(alert, Action.CONFIRMED, State.CONFIRMED)
    with MailServer() as server:
        place.sender(server).run_until_idle()
        tomorrow = datetime.now(UTC) + timedelta(days=1, hours=1)
        place.sender(server, clock=lambda _: tomorrow).run_until_idle()
        assert [m["Subject"].startswith("【能流】预警已确认") for m in server.taken] == [True, False]
    assert place.states() == {"sent": 2, "dropped": 1, "digested": 1}
    (told_of,) = place.rows("select alert_id from nengliu.notification where state = 'digested'")
    assert told_of == (other,)


def test_a_lease_that_ran_out_is_taken_over_and_the_first_holder_cannot_undo_what_came_of_it(place):
    place.contact("li@x.example")
    place.alert()
    with place.connect() as conn:
        conn.autocommit = True
        (row,) = lease_batch(conn, EAGER, lease="a", lease_for=timedelta(0), limit=10)
        (again,) = lease_batch(conn, EAGER, lease="b", lease_for=timedelta(minutes=1), limit=10)
        assert (row.key, row.attempts, again.attempts) == (again.key, 1, 2)
        mark_failed(conn, row, DeliveryError("late"), EAGER)
        release(conn, [row])
        assert lease_batch(conn, EAGER, lease="c", lease_for=timedelta(minutes=1), limit=10) == []
        mark_sent(conn, again)
        mark_failed(conn, again, DeliveryError("late"), EAGER)
    assert place.states() == {"sent": 1}


def test_what_is_on_its_way_is_counted_by_an_index_however_many_wait(place, seeded):
    """For each candidate, under the lock of all senders."""
    with psycopg.connect(seeded.owner_url) as conn:
        conn.execute(
            "insert into nengliu.notification (key, kind, alert_id, transition_no, severity, name, language, channel, "
            "address, route) select 'k' || n, 'alert', 1, 1, 'warning', 'x', 'zh', 'email', n % 20 || '@x.example', "
            "'email' from generate_series(1, 5000) n"
        )
        conn.execute("analyze nengliu.notification")
        keys = {"now": datetime.now(UTC), "busy": [], "limit": 64}
        plan = conn.execute("explain " + query("notify_candidates"), keys).fetchall()
        conn.rollback()
    assert "notification_channel_address_idx on" in "\n".join(line for (line,) in plan)


def test_what_takes_longer_than_a_lease_stays_with_the_sender_that_lives(place):
    place.contact("li@x.example")
    place.alert()
    now = [datetime.now(UTC)]
    asked, go = threading.Event(), threading.Event()

    def answer(_: EmailMessage) -> None:
        asked.set()
        go.wait(60)

    stop = threading.Event()
    with MailServer(answer) as server:
        sender = place.sender(server.server(timeout_s=60.0), clock=lambda _: now[0], stop=stop)
        with running(sender, stop):
            assert asked.wait(60)
            until = "select lease_until from nengliu.notification"
            for _ in range(3):
                now[0] += timedelta(seconds=20)
                wait_for(lambda: place.rows(until) == [(now[0] + timedelta(seconds=30),)], "a new lease")
            with place.connect() as conn:
                taken = lease_batch(
                    conn, EAGER, lease="b", lease_for=timedelta(minutes=1), limit=10, clock=lambda _: now[0]
                )
            assert taken == [], "a minute after a lease of half a minute"
            go.set()
            wait_for(lambda: place.states() == {"sent": 1}, "the mail")
        assert len(server.keys) == 1


def test_what_nobody_takes_is_given_up_in_the_end_and_shown(place):
    policy = replace(EAGER, give_up_after=timedelta(hours=1))
    place.contact("li@x.example")
    place.alert()
    with place.connect() as conn:
        conn.autocommit = True
        later = at("2099-01-01T12:00:00")
        (row,) = lease_batch(conn, policy, lease="a", lease_for=timedelta(minutes=1), limit=10)
        assert not mark_failed(conn, row, DeliveryError("451 come again"), policy)
        (row,) = lease_batch(conn, policy, lease="a", lease_for=timedelta(minutes=1), limit=10)
        assert mark_failed(conn, row, DeliveryError("451 come again"), policy, later)
        assert read_counts(conn).failed == 1
    assert place.rows("select state, attempts, reason from nengliu.notification") == [
        ("failed", 2, "451 come again")
    ]


def test_a_contact_that_wants_nothing_any_more_gets_nothing_that_waits(place):
    place.contact("li@x.example")
    place.alert()
    place.contact("li@x.example", severity="none")
    with MailServer() as server:
        place.sender(server).run_until_idle()
        assert server.taken == []
    assert place.states() == {"dropped": 1}


def test_two_digests_at_once_tell_everything_once(place):
    for n in range(3):
        place.contact(f"c{n}@x.example", scope="city")
    place.alert("provisional")
    tomorrow = datetime.now(UTC) + timedelta(days=1, hours=1)
    with place.connect() as one, place.connect() as two:
        one.autocommit = two.autocommit = True
        assert make_digests(one, EAGER, lambda _: tomorrow) == 3
        assert make_digests(two, EAGER, lambda _: tomorrow) == 0
    assert place.states() == {"digested": 3, "waiting": 3}


def test_what_nobody_acknowledges_reaches_those_of_higher_severities_and_reminders_go_to_those_who_were_told(
    place,
):
    for name, from_ in (("w", "warning"), ("m", "major"), ("c", "critical"), ("n", "none")):
        place.contact(f"{name}@x.example", name=name, severity=from_)
    alert = place.alert()

    def told_of(action: str) -> list[str]:
        rows = place.rows(
            "select name from nengliu.notification where action = %s order by notification_id", (action,)
        )
        return sorted(name for (name,) in rows)

    assert told_of("opened") == ["w"]
    place.step(alert, Action.ESCALATED, State.CONFIRMED)
    assert told_of("escalated") == ["m", "w"]
    place.step(alert, Action.SNOOZED, State.CONFIRMED)
    assert told_of("snoozed") == []
    place.step(alert, Action.REMINDED, State.CONFIRMED)
    assert told_of("reminded") == ["m", "w"]
    place.step(alert, Action.ESCALATED, State.CONFIRMED)
    assert told_of("escalated") == ["c", "m", "m", "w", "w"]


def test_an_alert_of_a_finding_that_is_of_no_one_site_is_told_to_the_city(place):
    """It has no figures of a quota, no chart and no year: what its evidence says is told instead."""
    place.contact("li@x.example", name="Li")
    place.contact("centre@x.example", name="Centre", scope="city", language="en")
    evidence = {
        "about": "gw-1", "starts": "2014-09-01T00:00:00+00:00", "findings": 2,
        "members": [{"finding_id": 1, "kind": "silent_gateway", "subject": "gw-1"}],
    }  # fmt: skip
    with psycopg.connect(place.url) as conn:
        new = NewAlert("gateway_silent", "major", "gw-1", evidence, finding_id=1)
        step = Transition(None, State.CONFIRMED, Action.OPENED)
        open_alert(conn, new, step, datetime(2014, 9, 1, 2, tzinfo=UTC), FOLLOW_UP)
    with MailServer() as server:
        place.sender(server).run_until_idle()
        (mail,) = server.taken
    assert mail["To"].addresses[0].addr_spec == "centre@x.example"
    assert mail["Subject"] == "[nengliu] new alert: gw-1: gateway silent"
    text = mail.get_body(("plain",)).get_content()
    assert "since: 2014-09-01 08:00" in text
    assert "Check the gateway's power" in text
    assert "None" not in text + mail.get_body(("html",)).get_content()
    assert [part.get_content_type() for part in mail.walk() if part.get_content_maintype() == "image"] == []
