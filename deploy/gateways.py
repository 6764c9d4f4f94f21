"""Who may publish: gateways as users of Mosquitto's dynamic-security plugin, in force at once.

Each gateway is a client and a role of its own with exactly the topics of the contract. Commands and answers
are JSON on $CONTROL/dynamic-security/v1 (Mosquitto 2.0, plugins/dynamic-security).
"""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from collectors.decoders.sparkplug import NAMESPACE
from collectors.routes import Filter, ack_topic
from collectors.tls_errors import explained
from deploy.clients import MqttEndpoint
from metering.errors import DependencyAwayError, NengliuError, SettingError

CONTROL = "$CONTROL/dynamic-security/v1"
RESPONSE = f"{CONTROL}/response"

#: What a gateway publishes natively, below nl/v1/{gateway}/.
NATIVE_UP = ("readings", "dlt645", "cjt188", "status")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}\Z")
_TIMEOUT_S = 10.0
#: Commands in a message to the plugin.
_BATCH = 100
#: Between a gateway's name, which cannot have it, and what tells its certificates apart.
_OF_CERTIFICATE = "~"
_LONGEST_COMMON_NAME = 64  # RFC 5280, appendix A.1, ub-common-name


class GatewayError(NengliuError):
    """A gateway cannot be added or removed; the message says which and why."""


class GatewayNameError(GatewayError, SettingError):
    """A name cannot be a gateway's: wrong use of the command."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A gateway's name, which is its MQTT user, and its password, shown once."""

    gateway: str
    password: str


def check_names(names: Sequence[str]) -> None:
    """Raise GatewayError where a name cannot stand in a topic, an ACL and a Kafka key."""
    for name in names:
        if not _NAME.match(name):
            raise GatewayNameError(
                f"gateway name {name!r}: use 1 to 64 letters, digits and . _ : @ -, a letter or digit first"
            )
    if doubled := sorted({n for n in names if list(names).count(n) > 1}):
        raise GatewayNameError(f"named twice: {', '.join(doubled)}")


def new_identity(gateway: str) -> str:
    """A name for a certificate of `gateway` to log in as: a user of its own with the gateway's rights.

    It is never used again: the certificate of a gateway that was removed stays void when one of its name is added.
    Raises GatewayNameError where a certificate cannot hold it.
    """
    identity = f"{gateway}{_OF_CERTIFICATE}{secrets.token_hex(4)}"
    if len(identity) > _LONGEST_COMMON_NAME:
        longest = _LONGEST_COMMON_NAME - len(identity) + len(gateway)
        raise GatewayNameError(
            f"gateway name {gateway!r}: with a certificate it may have {longest} characters"
        )
    return identity


def _identities(known: Iterable[str], gateway: str) -> list[str]:
    """Users that log in by a certificate of `gateway`."""
    return sorted(name for name in known if name.startswith(gateway + _OF_CERTIFICATE))


def acls_of(gateway: str, extra_filters: Iterable[str] = ()) -> list[dict[str, Any]]:
    """The rights of one gateway: its own native topics up, its acknowledgements down, its part of each
    extra filter.
    """

    def allow(kind: str, topic: str) -> dict[str, Any]:
        return {"acltype": kind, "topic": topic, "priority": 0, "allow": True}

    extra = [Filter(f).of(gateway) for f in extra_filters]
    up = [f"nl/v1/{gateway}/{leaf}" for leaf in NATIVE_UP] + extra
    down = [topic for f in extra for topic in command_filters(f)]
    return [
        *(allow("publishClientSend", topic) for topic in up),
        allow("subscribeLiteral", ack_topic(gateway)),
        allow("publishClientReceive", ack_topic(gateway)),
        *(allow("subscribePattern", topic) for topic in down),
        *(allow("publishClientReceive", topic) for topic in down),
    ]


def command_filters(own: str) -> list[str]:
    """Where a Sparkplug edge node is told things, of the filter that is its own; no others are told anything."""
    levels = own.split("/")
    if levels[0] != NAMESPACE or len(levels) < 4:
        return []
    _, group, _, node, *_ = levels
    return [f"{NAMESPACE}/{group}/NCMD/{node}", f"{NAMESPACE}/{group}/DCMD/{node}/#", f"{NAMESPACE}/STATE/+"]


class SecurityDesk:
    """A connection as the plugin's admin. Use it as a context manager. Raises DependencyAwayError."""

    def __init__(self, endpoint: MqttEndpoint) -> None:
        self._endpoint = endpoint
        self._answers: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._state = "connecting"
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        client.username_pw_set(endpoint.username, endpoint.password)
        if endpoint.tls is not None:
            client.tls_set_context(endpoint.tls)
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_message = self._answered
        self._client = client

    def __enter__(self) -> SecurityDesk:
        e = self._endpoint
        try:
            self._client.connect(e.host, e.port, keepalive=30)
        except OSError as error:
            raise DependencyAwayError(
                f"MQTT at {e.host}:{e.port} cannot be reached ({explained(error, 'NENGLIU_MQTT')}); "
                "run `nengliu up`, or check NENGLIU_MQTT_ADMIN_URL"
            ) from error
        self._client.loop_start()
        self._await_state()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _await_state(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._state != "connecting", _TIMEOUT_S)
        if self._state != "ready":
            self.__exit__(None, None, None)
            raise DependencyAwayError(
                f"MQTT at {self._endpoint.host}:{self._endpoint.port} does not let {self._endpoint.username!r} "
                f"administrate gateways ({self._state}): check NENGLIU_MQTT_ADMIN_URL and the dynamic-security plugin"
            )

    def _set_state(self, state: str) -> None:
        with self._changed:
            self._state = state
            self._changed.notify_all()

    def _connected(
        self, client: paho.Client, _: Any, __: Any, reason: ReasonCode, ___: Properties | None
    ) -> None:
        if reason.is_failure:
            self._set_state(str(reason))
        else:
            client.subscribe(RESPONSE, qos=1)

    def _subscribed(
        self, _: Any, __: Any, ___: int, reasons: list[ReasonCode], ____: Properties | None
    ) -> None:
        self._set_state(str(reasons[0]) if reasons[0].is_failure else "ready")

    def _answered(self, _: Any, __: Any, message: paho.MQTTMessage) -> None:
        responses = json.loads(message.payload).get("responses", [])
        with self._changed:
            self._answers += responses
            self._changed.notify_all()

    def ask(self, commands: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Send commands and return their answers in order; a refused one has "error".

        Some in a message: the plugin writes its file anew at each, and answers when it has done all of them.
        """
        batches = [commands[at : at + _BATCH] for at in range(0, len(commands), _BATCH)]
        return [answer for batch in batches for answer in self._ask(batch)]

    def _ask(self, commands: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        tag = secrets.token_hex(8)
        tagged = [{**c, "correlationData": f"{tag}-{i}"} for i, c in enumerate(commands)]
        wanted = [c["correlationData"] for c in tagged]
        self._client.publish(CONTROL, json.dumps({"commands": tagged}), qos=1)

        def ours() -> dict[str, dict[str, Any]]:
            return {
                a["correlationData"]: a for a in self._answers if a.get("correlationData", "").startswith(tag)
            }

        with self._changed:
            self._changed.wait_for(lambda: len(ours()) == len(wanted), _TIMEOUT_S)
            answers = ours()
            self._answers.clear()
        if len(answers) != len(wanted):
            raise DependencyAwayError(
                f"MQTT at {self._endpoint.host}:{self._endpoint.port}: the dynamic-security plugin does not answer"
            )
        return [answers[w] for w in wanted]

    def known(self) -> set[str]:
        """Names of all clients."""
        answer = self.ask([{"command": "listClients", "verbose": False, "count": -1, "offset": 0}])[0]
        return set(answer["data"]["clients"])


def role_of(gateway: str) -> str:
    """The role that holds a gateway's rights."""
    return f"gateway:{gateway}"


def add_gateways(
    endpoint: MqttEndpoint,
    names: Sequence[str],
    extra_filters: Iterable[str] = (),
    new_password: bool = False,
    identities: Mapping[str, str] | None = None,
) -> list[Credential]:
    """Let gateways publish, all of them or none. Raises GatewayError for one that exists, unless
    `new_password`.

    With `new_password` an existing gateway keeps its rights and gets another password; its live sessions
    end. identities: gateway -> what its new certificate logs in as (`new_identity`); its earlier ones end.
    """
    check_names(names)
    filters = list(extra_filters)
    with SecurityDesk(endpoint) as desk:
        known = desk.known()
        there = known & set(names)
        if there and not new_password:
            raise GatewayError(
                f"already there: {', '.join(sorted(there))}; nothing was added (--new-password gives another password)"
            )
        service = [n for n in there if not _is_gateway(desk, n)]
        if service:
            raise GatewayError(f"not gateways but users of the platform: {', '.join(sorted(service))}")
        credentials = [Credential(name, secrets.token_urlsafe(24)) for name in names]
        commands: list[dict[str, Any]] = []
        for c in credentials:
            if c.gateway in there:
                commands += _renew(c, filters)
            else:
                commands += _create(c, filters)
        undo = [command for n in names if n not in there for command in _delete(n)]
        for name, identity in (identities or {}).items():
            commands += [_delete_client(old) for old in _identities(known, name)]
            commands.append(_create_identity(identity, name))
            undo.append(_delete_client(identity))
        _all_or_nothing(desk, commands, undo)
    return credentials


def lend_rights(endpoint: MqttEndpoint, lent: Mapping[str, Sequence[str]]) -> None:
    """Let a gateway speak for others too, one connection for all: gateway -> the others. It ends when the others are
    removed (`remove_gateways`). Raises GatewayError.
    """
    commands = [
        {"command": "addClientRole", "username": name, "rolename": role_of(other), "priority": 0}
        for name, others in lent.items()
        for other in others
    ]
    undo = [{**c, "command": "removeClientRole"} for c in commands]
    if commands:
        with SecurityDesk(endpoint) as desk:
            _all_or_nothing(desk, commands, undo)


def _is_gateway(desk: SecurityDesk, name: str) -> bool:
    answer = desk.ask([{"command": "getClient", "username": name}])[0]
    roles = answer.get("data", {}).get("client", {}).get("roles", [])
    return any(r.get("rolename") == role_of(name) for r in roles)


def _create(c: Credential, filters: list[str]) -> list[dict[str, Any]]:
    return [
        {"command": "createRole", "rolename": role_of(c.gateway), "acls": acls_of(c.gateway, filters)},
        {
            "command": "createClient",
            "username": c.gateway,
            "password": c.password,
            "roles": [{"rolename": role_of(c.gateway), "priority": 0}],
        },
    ]


def _renew(c: Credential, filters: list[str]) -> list[dict[str, Any]]:
    return [
        {"command": "modifyRole", "rolename": role_of(c.gateway), "acls": acls_of(c.gateway, filters)},
        {"command": "setClientPassword", "username": c.gateway, "password": c.password},
        {"command": "disableClient", "username": c.gateway},
        {"command": "enableClient", "username": c.gateway},
    ]


def _create_identity(identity: str, gateway: str) -> dict[str, Any]:
    """Without a password, so that the plugin lets nobody in under this name who shows no certificate."""
    return {
        "command": "createClient",
        "username": identity,
        "roles": [{"rolename": role_of(gateway), "priority": 0}],
    }


def _all_or_nothing(desk: SecurityDesk, commands: list[dict[str, Any]], undo: list[dict[str, Any]]) -> None:
    answers = desk.ask(commands)
    refused = [
        f"{c['command']} {c.get('username', c.get('rolename'))}: {a['error']}"
        for c, a in zip(commands, answers, strict=True)
        if "error" in a
    ]
    if refused:
        desk.ask(undo)
        raise GatewayError(f"the broker refused, nothing was added: {'; '.join(refused)}")


def _delete(name: str) -> list[dict[str, Any]]:
    return [_delete_client(name), {"command": "deleteRole", "rolename": role_of(name)}]


def _delete_client(name: str) -> dict[str, Any]:
    return {"command": "deleteClient", "username": name}


def gateways_named(endpoint: MqttEndpoint, prefix: str) -> list[str]:
    """The gateways whose names begin with `prefix`, sorted."""
    with SecurityDesk(endpoint) as desk:
        named = sorted(n for n in desk.known() if n.startswith(prefix) and _OF_CERTIFICATE not in n)
        return [n for n in named if _is_gateway(desk, n)]


def remove_gateways(endpoint: MqttEndpoint, names: Sequence[str]) -> None:
    """End gateways' sessions and rights, all of them or none. Raises GatewayError for one that is not
    there.
    """
    check_names(names)
    with SecurityDesk(endpoint) as desk:
        known = desk.known()
        missing = [n for n in names if n not in known or not _is_gateway(desk, n)]
        if missing:
            raise GatewayError(f"no such gateway: {', '.join(missing)}; nothing was removed")
        certified = [_delete_client(i) for name in names for i in _identities(known, name)]
        answers = desk.ask([*certified, *(command for name in names for command in _delete(name))])
        if refused := [a["error"] for a in answers if "error" in a]:
            raise GatewayError(f"the broker refused: {'; '.join(refused)}")
