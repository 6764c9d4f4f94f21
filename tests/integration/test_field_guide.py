"""The field guide's commands, as they stand there, against real servers: a reading is seen at their end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from deploy.bench.rig import free_port
from deploy.clients import mqtt_connection
from deploy.gateways import remove_gateways
from deploy.services.edge import health_file
from deploy.settings import Settings

from .collectors_support import ROOT, endpoint_of, running, wait_until
from .conftest import Database
from .delivery_support import rows

pytestmark = [pytest.mark.integration, pytest.mark.timeout(200)]

GUIDE = ROOT / "docs" / "field-guide" / "README.md"
METERS = ["110108000001", "110108000002", "110108000003"]


def blocks() -> list[str]:
    """The guide's sh blocks in order; the stack is up already, and the commands are on the path."""
    found = re.findall(r"^```sh\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [re.sub(r"^(make up|export PATH=.*)\n", "", block, flags=re.MULTILINE) for block in found]


@contextmanager
def shell(settings: Settings, database: Database, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A bash that reads commands from its stdin, with the tests' database, broker and topics."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NENGLIU_")} | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "NENGLIU_STATE_DIR": str(settings.state_dir.absolute()),
        "NENGLIU_DATABASE_URL": database.pipeline_url,
        "NENGLIU_READ_URL": database.read_url,
        "NENGLIU_KAFKA_TOPIC_PREFIX": settings.kafka_topic_prefix,
        "NENGLIU_EDGE_OUTBOX": str(folder / "outbox.sqlite"),
        "NENGLIU_LANGUAGE": "en",
    }
    with subprocess.Popen(
        ["bash", "-e"],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as bash:
        try:
            yield bash
        finally:
            with suppress(ProcessLookupError):  # what it left in the background, too
                os.killpg(bash.pid, signal.SIGTERM)


def answered(health: Path) -> int:
    """How many meters have answered, by what the collector writes."""
    if not health.is_file():
        return 0
    return len(re.findall(r'"last_ok": ?"', health.read_text(encoding="utf-8")))


def test_the_guide_ends_with_a_reading_seen(settings: Settings, database: Database, tmp_path: Path):
    endpoint, port = mqtt_connection(settings, "admin"), free_port(settings.host)
    site = tmp_path / "out" / "site"
    prepare, bus, registry, collect, look, end = [
        b.replace("127.0.0.1:4001", f"127.0.0.1:{port}").replace(
            "127.0.0.1:21883", f"{endpoint.host}:{endpoint.port}"
        )
        for b in blocks()
    ]
    with (
        running(settings, "collect"),
        running(settings, "write"),
        shell(settings, database, tmp_path) as bash,
    ):
        assert bash.stdin is not None
        bash.stdin.write(prepare + bus)
        bash.stdin.flush()
        try:
            wait_until(lambda: (site / "registry" / "installations.csv").is_file(), "the bus to have begun")
            bash.stdin.write(registry + collect)
            bash.stdin.flush()
            seen = "select distinct meter from api.reading where register = '1.8.0' order by meter"
            wait_until(lambda: [m for (m,) in rows(settings, seen)] == METERS, "the readings", 60)
            wait_until(
                lambda: answered(health_file(tmp_path / "outbox.sqlite")) == 3, "what the collector says", 60
            )
            bash.stdin.write(look + end)
            told, _ = bash.communicate(timeout=60)
        finally:
            remove_gateways(endpoint_of(settings), ["gw-sim"])
    assert bash.returncode == 0, told
    assert "The configuration is good. Gateway gw-sim" in told
    assert re.search(r"110108000003 1\.8\.0 .* 123[4-9]\.\d", told), told
    assert len(re.findall(r"1101080000\d\d +answers", told)) == 3, told
    assert "3 of 3 meters were asked" in told
