"""Real servers for integration tests: started here with free ports, or those of NENGLIU_TEST_STACK.

A template database is migrated once a session; each test module gets a copy of it, and topics of its own.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from deploy.clients import connect_database, database_url
from deploy.kafka_topics import prepare_topics
from deploy.settings import Settings
from deploy.stack import stack
from deploy.stack.postgres import prepare_database
from deploy.stack.site import Site
from deploy.stack.state import StackState
from deploy.stack.steps import Steps
from storage.migrate import migrate

ANY_PORT = {
    f"{name}_port": 0
    for name in (
        "mqtt",
        "kafka",
        "kafka_controller",
        "postgres",
        "prometheus",
        "bridge_metrics",
        "writer_metrics",
        "worker_metrics",
    )
}


@dataclass(frozen=True)
class Servers:
    """Mosquitto, Kafka, PostgreSQL and Prometheus that answer. `settings` points at them by the state directory."""

    settings: Settings


@dataclass(frozen=True)
class Database:
    """A migrated database of a test module's own, as URLs of its roles."""

    name: str
    pipeline_url: str
    owner_url: str
    read_url: str
    writer_url: str
    worker_url: str
    superuser_url: str


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The servers of the session, stopped and removed at its end unless they were running before."""
    if running := os.environ.get("NENGLIU_TEST_STACK"):
        yield Servers(Settings(state_dir=Path(running), **ANY_PORT))
        return
    folder = Path(tempfile.mkdtemp(prefix="nengliu-test-"))
    settings = Settings(state_dir=folder, **ANY_PORT)
    try:
        stack.up(settings, Steps("en"), servers_only=True)
        yield Servers(settings)
    finally:
        stack.down(settings, Steps("en"), purge=True)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template(servers: Servers) -> Iterator[str]:
    """Name of a migrated database that nobody connects to, so that it can be copied."""
    name = f"template_{secrets.token_hex(4)}"
    settings = servers.settings
    with database_server(settings) as connection:
        connection.execute(sql.SQL("create database {} owner nengliu_owner").format(sql.Identifier(name)))
    prepare_database(site_of(settings), name)
    with connect_database(settings, "owner", database=name) as connection:
        migrate(connection, settings.node, settings.timezone)
    with database_server(settings) as connection:
        forbid = sql.SQL("alter database {} with allow_connections false")
        connection.execute(forbid.format(sql.Identifier(name)))
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name]
        )
    yield name
    with database_server(settings) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def database(servers: Servers, template: str) -> Iterator[Database]:
    """A fresh database of this module."""
    with fresh_database(servers.settings, template) as made:
        yield made


@pytest.fixture(scope="module")
def settings(servers: Servers, database: Database) -> Settings:
    """Settings that point at the servers, this module's database and topics of its own."""
    return module_settings(servers.settings, database)


def site_of(settings: Settings) -> Site:
    """The stack that `settings` points at by its state directory."""
    state = StackState.of(settings)
    return Site(settings, state, state.ports())


@contextmanager
def database_server(settings: Settings) -> Iterator[psycopg.Connection]:
    """A superuser's connection outside any database of ours."""
    with connect_database(settings, "superuser", autocommit=True, database="postgres") as connection:
        yield connection


@contextmanager
def fresh_database(settings: Settings, template: str) -> Iterator[Database]:
    """A copy of the template, dropped afterwards."""
    name = f"test_{secrets.token_hex(4)}"
    identifier = sql.Identifier(name)
    with database_server(settings) as connection:
        copy = sql.SQL("create database {} template {} owner nengliu_owner")
        connection.execute(copy.format(identifier, sql.Identifier(template)))
    # Rights on the database itself are not copied.
    prepare_database(site_of(settings), name)
    yield Database(
        name,
        *(
            database_url(settings, role, name)
            for role in ("pipeline", "owner", "read", "writer", "worker", "superuser")
        ),
    )
    with database_server(settings) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(identifier))


def module_settings(settings: Settings, database: Database) -> Settings:
    """`settings` with that database and a topic prefix nobody else has; the topics exist."""
    made = settings.model_copy(
        update={
            "database_url": SecretStr(database.pipeline_url),
            "database_owner_url": SecretStr(database.owner_url),
            "read_url": SecretStr(database.read_url),
            "kafka_topic_prefix": f"t{secrets.token_hex(4)}.",
        }
    )
    prepare_topics(made)
    return made
