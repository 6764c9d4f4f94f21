"""deploy/compose: no engine runs it here, so what can be checked without one is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from deploy.settings import Settings
from deploy.stack.mosquitto import first_users
from deploy.stack.services import SERVICES

FOLDER = Path(__file__).parents[2] / "deploy/compose"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())


def test_every_server_and_service_of_the_native_stack_is_there() -> None:
    assert {"mosquitto", "kafka", "timescaledb", "prometheus", "grafana", *SERVICES} <= set(
        COMPOSE["services"]
    )
    for name, command in SERVICES.items():
        assert COMPOSE["services"][name]["command"] == ["nengliu", command]


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_service_waits_for_what_exists_and_mounts_what_exists(name: str) -> None:
    service = COMPOSE["services"][name]
    assert set(service.get("depends_on", {})) <= set(COMPOSE["services"])
    for source, *_ in (volume.split(":") for volume in service.get("volumes", [])):
        if source.startswith("."):
            assert (FOLDER / source).exists(), source
        else:
            assert source in COMPOSE["volumes"]


def test_images_are_pinned_to_a_version() -> None:
    images = [s["image"] for s in COMPOSE["services"].values() if "build" not in s]
    assert images
    assert all(re.search(r":v?\d+\.\d+", image) for image in images), images


def test_settings_of_the_services_exist() -> None:
    known = {f"NENGLIU_{name.upper()}" for name in Settings.model_fields}
    assert set(COMPOSE["services"]["bridge"]["environment"]) <= known


def test_every_password_that_is_wanted_is_in_the_example() -> None:
    wanted = set(re.findall(r"\$\{(\w+):\?", (FOLDER / "compose.yaml").read_text()))
    offered = set(re.findall(r"^(\w+)=", (FOLDER / "env.example").read_text(), re.MULTILINE))
    assert wanted == offered


def test_prometheus_scrapes_the_metrics_ports_that_the_services_are_given() -> None:
    scraped = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    targets = {job["job_name"]: job["static_configs"][0]["targets"][0] for job in scraped}
    environment = COMPOSE["services"]["bridge"]["environment"]
    for name in SERVICES:
        assert targets[name] == f"{name}:{environment[f'NENGLIU_{name.upper()}_METRICS_PORT']}"


def test_kafka_and_mosquitto_are_set_as_in_the_native_stack() -> None:
    """The durability and size settings are the same on both ways."""
    native = (FOLDER.parent / "kafka/server.properties.j2").read_text()
    environment = COMPOSE["services"]["kafka"]["environment"]
    for line in ("auto.create.topics.enable", "message.max.bytes", "offsets.topic.replication.factor"):
        value = re.search(rf"^{re.escape(line)}=(.*)$", native, re.MULTILINE)[1]
        assert str(environment["KAFKA_" + line.replace(".", "_").upper()]) == value

    def limits(text: str) -> dict[str, str]:
        return dict(
            re.findall(r"^(max_\w+|persist\w+expiration|autosave_interval) (.*)$", text, re.MULTILINE)
        )

    assert limits((FOLDER / "mosquitto.conf").read_text()) == limits(
        (FOLDER.parent / "mosquitto/mosquitto.conf.j2").read_text()
    )


def test_the_dockerfile_copies_every_room() -> None:
    text = (FOLDER / "Dockerfile").read_text()
    rooms = {p.parent.name for p in FOLDER.parents[1].glob("*/__init__.py")} - {"tests"}
    assert rooms <= set(re.findall(r"^COPY (\w+) \w+$", text, re.MULTILINE))


def test_first_users_hold_no_password_and_deny_by_default() -> None:
    users = first_users({"admin": "open sesame", "bridge": "other"})
    assert "open sesame" not in str(users)
    assert users["defaultACLAccess"]["publishClientSend"] is False
    assert users["defaultACLAccess"]["subscribe"] is False
