"""Mosquitto: configuration, first users of its dynamic-security plugin, readiness."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from typing import Any

from collectors.tls_errors import explained
from deploy.clients import MqttEndpoint, mqtt_connection
from deploy.stack.certificates import Authority
from deploy.stack.mqtt_probe import publish_once
from deploy.stack.programs import Programs
from deploy.stack.site import NotReadyError, Process, Site, render
from deploy.stack.state import write_private

#: PBKDF2 rounds of the two service users; those of gateways are the plugin's own choice (101).
_ITERATIONS = 101
PROBE_TOPIC = "nengliu/ready"


class Mosquitto:
    """The MQTT broker."""

    name = "mosquitto"
    title = "Mosquitto"
    port_name = "mqtt"

    def prepare(self, site: Site, programs: Programs) -> Process:
        """Write mosquitto.conf; the users the first time only, as the plugin keeps them afterwards."""
        folder = site.state.make_server(self.name)
        users = folder / "dynamic-security.json"
        if not users.is_file():
            passwords = {name: site.state.secret(f"mqtt_{name}") for name in ("admin", "bridge")}
            write_private(users, json.dumps(first_users(passwords), indent=1))
        config = folder / "mosquitto.conf"
        digest = render(
            "mosquitto/mosquitto.conf.j2",
            config,
            host=site.settings.host,
            port=site.ports[self.port_name],
            **_tls(site),
            plugin=programs.dynamic_security,
            folder=folder,
            root=os.geteuid() == 0,
        )
        command = ["setpriv", "--pdeathsig", "TERM", "--", str(programs.mosquitto), "-c", str(config)]
        return Process(self.name, command, folder, 20, digest=digest)

    def probe(self, site: Site) -> None:
        """Connect as admin and publish a message with QoS 1 until it is acknowledged."""
        probe_broker(mqtt_connection(site.settings, "admin"), PROBE_TOPIC)


def _tls(site: Site) -> dict[str, Any]:
    """What the configuration says of TLS: nothing, unless it is in force."""
    if not site.state.tls_in_force:
        return {"tls": None}
    server = Authority(site.state.tls).server_file.read_bytes()
    return {
        "tls": site.state.tls,
        "certificate": hashlib.sha256(server).hexdigest()[:16],
        "certificate_port": site.ports["mqtt_certificate"],
    }


def probe_broker(endpoint: MqttEndpoint, topic: str) -> None:
    """Publish one message; NotReadyError where the broker does not take it."""
    try:
        publish_once(endpoint, topic)
    except (OSError, ValueError) as e:
        raise NotReadyError(f"MQTT at {endpoint.host}:{endpoint.port}: {explained(e, 'NENGLIU_MQTT')}") from e


def first_users(passwords: dict[str, str]) -> dict[str, Any]:
    """The plugin's file at first: admin manages users, bridge reads everything and answers with acks."""
    return {
        "defaultACLAccess": {
            "publishClientSend": False,
            "publishClientReceive": True,
            "subscribe": False,
            "unsubscribe": True,
        },
        "clients": [
            {"username": name, **hashed(password), "roles": [{"rolename": name, "priority": 0}]}
            for name, password in passwords.items()
        ],
        "groups": [],
        "roles": [
            {
                "rolename": "admin",
                "acls": [
                    *_allow("publishClientSend", "$CONTROL/dynamic-security/#", PROBE_TOPIC),
                    *_allow("publishClientReceive", "$CONTROL/dynamic-security/#", "$SYS/#", "#"),
                    *_allow("subscribePattern", "$CONTROL/dynamic-security/#", "$SYS/#", "#"),
                ],
            },
            {
                "rolename": "bridge",
                "acls": [
                    *_allow("subscribePattern", "#", "$share/#"),
                    *_allow("publishClientReceive", "#"),
                    *_allow("publishClientSend", "nl/v1/+/ack", "spBv1.0/+/NCMD/+"),
                ],
            },
        ],
    }


def _allow(kind: str, *topics: str) -> list[dict[str, Any]]:
    return [{"acltype": kind, "topic": topic, "priority": 0, "allow": True} for topic in topics]


def hashed(password: str) -> dict[str, Any]:
    """A password as the plugin keeps it: PBKDF2 with SHA-512, 64 bytes (Mosquitto 2.0, dynamic_security/auth.c)."""
    salt = secrets.token_bytes(12)
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS, 64)
    return {
        "password": base64.b64encode(key).decode(),
        "salt": base64.b64encode(salt).decode(),
        "iterations": _ITERATIONS,
    }
