"""Hostile JSON of EMQ Neuron and of a declared vendor format, and the files that declare the two for a run."""

from __future__ import annotations

import json
from collections.abc import Callable

from simulators.hostile.cases import Kind, Leaf, Message, Reading, Reject, Spot, shown, v1

#: meter: one that the gateway of the run reads; each gateway's node in Neuron bears its name.
NEURON_NODE = '[nodes."{gateway}"]\nEPtp = {{ meter = "{meter}", register = "1.8.0", scale = 0.01 }}\n'
VENDOR_TOML = """kind = "json"
readings = "data"
meter = "addr"
values = "v"
ignore = ["rssi"]
[time]
path = "at"
format = "%Y-%m-%d %H:%M:%S"
zone = "America/New_York"
[registers]
E = { register = "1.8.0", scale = 0.1 }
P = { register = "16.7.0" }
"""


def neuron_toml(meters: dict[str, str]) -> str:
    """The declaration for gateways and their meters."""
    return 'kind = "neuron"\nignore = ["heartbeat"]\n' + "".join(
        NEURON_NODE.format(gateway=gateway, meter=meter) for gateway, meter in meters.items()
    )


# ---------------------------------------------------------------- EMQ Neuron


def _neuron(spot: Spot, tags: str, node: str | None = None, time: str | None = None, more: str = "") -> bytes:
    ms = time or str(spot.ts_us // 1000)
    head = f'"timestamp":{ms},"node":{json.dumps(node or spot.names.gateway)},"group":"g"'
    return f'{{{head},"values":{tags}{more}}}'.encode()


def _neuron_value(reason: str, given: str, kept: str) -> Callable[[Spot], Message]:
    """A tag's value that is none; kept: as the dead letters show it."""

    def make(spot: Spot) -> Message:
        text = shown(spot.names.meter, json.dumps(spot.ts), "1.8.0", kept)
        return Message(
            spot.topic(Leaf.NEURON), _neuron(spot, f'{{"EPtp":{given}}}'), rejects=(Reject(reason, v1(text)),)
        )

    return make


def _neuron_no_values(spot: Spot) -> Message:
    text = f'{{"timestamp":{spot.ts_us // 1000},"node":{json.dumps(spot.names.gateway)}}}'
    return Message(spot.topic(Leaf.NEURON), text.encode(), rejects=(Reject("malformed", v1(text)),))


def _neuron_unknown_tag(spot: Spot) -> Message:
    """Beside a good one."""
    hundredths = spot.n % 1_000_000
    text = shown(spot.names.gateway, json.dumps(spot.ts), "Temp", "21.5")
    return Message(
        spot.topic(Leaf.NEURON),
        _neuron(spot, f'{{"EPtp":{hundredths},"Temp":21.5}}'),
        stored=(Reading(spot.names.meter, "1.8.0", spot.ts_us, hundredths / 100),),
        rejects=(Reject("unknown_register", v1(text)),),
    )


def _neuron_unknown_node(spot: Spot) -> Message:
    text = shown("node-of-nobody", json.dumps(spot.ts), "EPtp", "5")
    data = _neuron(spot, '{"EPtp":5}', node="node-of-nobody")
    return Message(spot.topic(Leaf.NEURON), data, rejects=(Reject("unknown_register", v1(text)),))


def _neuron_error(spot: Spot) -> Message:
    text = shown(spot.names.meter, json.dumps(spot.ts), "1.8.0", "null")
    data = _neuron(spot, "{}", more=',"errors":{"EPtp":3000}')
    return Message(spot.topic(Leaf.NEURON), data, rejects=(Reject("error_answer", v1(text)),))


def _neuron_time(reason: str, given: str, kept: str) -> Callable[[Spot], Message]:
    def make(spot: Spot) -> Message:
        text = shown(spot.names.meter, kept, "1.8.0", "5.0")
        data = _neuron(spot, '{"EPtp":500}', time=given)
        return Message(spot.topic(Leaf.NEURON), data, rejects=(Reject(reason, v1(text)),))

    return make


def _whole(
    leaf: Leaf, reason: str, payload: Callable[[Spot], bytes], *properties: tuple[str, str]
) -> Callable[[Spot], Message]:
    def make(spot: Spot) -> Message:
        data = payload(spot)
        return Message(spot.topic(leaf), data, rejects=(Reject(reason, data),), properties=properties)

    return make


# ---------------------------------------------------------------- a declared format


def _vendor(at: str, values: str, meter: str) -> bytes:
    return f'{{"data":[{{"addr":{meter},"at":{json.dumps(at)},"v":{values},"rssi":-70}}]}}'.encode()


def _vendor_time(at: str) -> Callable[[Spot], Message]:
    """A time that is none, or that the clocks of its zone show twice or never."""

    def make(spot: Spot) -> Message:
        text = shown(spot.names.meter, json.dumps(at), "16.7.0", str(spot.n))
        data = _vendor(at, f'{{"P":{spot.n}}}', json.dumps(spot.names.meter))
        return Message(spot.topic(Leaf.VENDOR), data, rejects=(Reject("bad_timestamp", v1(text)),))

    return make


#: A winter's noon in New York, and the same in UTC.
_NOON, _NOON_UTC = "2014-01-15 12:00:00", '"2014-01-15T17:00:00+00:00"'


def _vendor_value(reason: str, name: str, given: str, register: str, kept: str) -> Callable[[Spot], Message]:
    def make(spot: Spot) -> Message:
        text = shown(spot.names.meter, _NOON_UTC, register, kept)
        data = _vendor(_NOON, f'{{"{name}":{given}}}', json.dumps(spot.names.meter))
        return Message(spot.topic(Leaf.VENDOR), data, rejects=(Reject(reason, v1(text)),))

    return make


def _vendor_item(item: str) -> Callable[[Spot], Message]:
    """An element of the list that cannot be used as a whole; it is kept as it is."""

    def make(spot: Spot) -> Message:
        text = item.replace("#", str(spot.n))
        return Message(
            spot.topic(Leaf.VENDOR), f'{{"data":[{text}]}}'.encode(), rejects=(Reject("malformed", v1(text)),)
        )

    return make


def _vendor_unknown_meter(spot: Spot) -> Message:
    meter = f"vendor-{spot.n}"
    text = f'{{"meter":"{meter}","ts":{_NOON_UTC},"values":{{"16.7.0":5.0}}}}'
    data = _vendor(_NOON, '{"P":5}', json.dumps(meter))
    return Message(spot.topic(Leaf.VENDOR), data, rejects=(Reject("unknown_meter", v1(text)),))


KINDS = [
    Kind("neuron_not_json", _whole(Leaf.NEURON, "malformed", lambda s: f"<xml n='{s.n}'/>".encode())),
    Kind("neuron_cut", _whole(Leaf.NEURON, "malformed", lambda s: _neuron(s, '{"EPtp":5}')[:-1])),
    Kind("neuron_values_missing", _neuron_no_values),
    Kind("neuron_value_null", _neuron_value("bad_value", "null", "null")),
    Kind("neuron_value_text", _neuron_value("bad_value", '"12"', '"12"')),
    Kind("neuron_value_nan", _neuron_value("bad_value", "NaN", "NaN")),
    Kind("neuron_value_negative", _neuron_value("bad_value", "-100", "-1.0")),
    Kind("neuron_unknown_tag", _neuron_unknown_tag),
    Kind("neuron_unknown_node", _neuron_unknown_node),
    Kind("neuron_error_of_a_tag", _neuron_error),
    Kind("neuron_time_text", _neuron_time("bad_timestamp", '"2014-01-01"', '"2014-01-01"')),
    Kind(
        "neuron_time_seconds",
        _neuron_time("timestamp_out_of_range", "1393604100", '"1970-01-17T03:06:44.100000+00:00"'),
    ),
    Kind(
        "neuron_seq_huge",
        _whole(Leaf.NEURON, "malformed", lambda s: _neuron(s, '{"EPtp":5}'), ("seq", "99999999999999999999")),
    ),
    Kind("vendor_not_json", _whole(Leaf.VENDOR, "malformed", lambda s: f"addr=1;n={s.n}".encode())),
    Kind("vendor_no_list", _whole(Leaf.VENDOR, "malformed", lambda s: f'{{"date":[],"n":{s.n}}}'.encode())),
    Kind(
        "vendor_list_empty", _whole(Leaf.VENDOR, "malformed", lambda s: f'{{"data":[],"n":{s.n}}}'.encode())
    ),
    Kind("vendor_hour_that_clocks_show_twice", _vendor_time("2014-11-02 01:30:00")),
    Kind("vendor_hour_that_clocks_skip", _vendor_time("2014-03-09 02:30:00")),
    Kind("vendor_time_of_another_form", _vendor_time("03/04/2014 05:06")),
    Kind("vendor_time_no_such_day", _vendor_time("2014-02-30 00:00:00")),
    Kind("vendor_undeclared_name", _vendor_value("unknown_register", "Q", "5", "Q", "5")),
    Kind(
        "vendor_undeclared_name_of_a_register",
        _vendor_value("unknown_register", "2.8.0", "5", "undeclared:2.8.0", "5"),
    ),
    Kind("vendor_value_over_float_when_scaled", _vendor_value("bad_value", "P", "1e999", "16.7.0", "1e999")),
    Kind("vendor_value_text", _vendor_value("bad_value", "P", '"5"', "16.7.0", '"5"')),
    Kind("vendor_meter_number", _vendor_item('{"addr":#,"at":"2014-01-15 12:00:00","v":{"P":1}}')),
    Kind(
        "vendor_meter_twice", _vendor_item('{"addr":"a","addr":"#","at":"2014-01-15 12:00:00","v":{"P":1}}')
    ),
    Kind("vendor_values_list", _vendor_item('{"addr":"a#","at":"2014-01-15 12:00:00","v":[1]}')),
    Kind("vendor_unknown_meter", _vendor_unknown_meter),
]
