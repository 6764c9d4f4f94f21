"""PostgreSQL with TimescaleDB: data folder, roles, database, readiness."""

from __future__ import annotations

import os
import subprocess
from importlib.resources import files
from pathlib import Path

import psycopg
from psycopg import sql

from deploy.clients import DATABASE_NAME, connect_database
from deploy.stack.account import database_account
from deploy.stack.errors import StackError
from deploy.stack.programs import Programs
from deploy.stack.site import NotReadyError, Process, Site, render
from metering.errors import DependencyAwayError

_HBA = """\
# Written by `nengliu up`: a password always, from this machine or from where the host setting listens.
host all all 0.0.0.0/0 scram-sha-256
host all all ::/0 scram-sha-256
"""


_ROLES = ("nengliu_owner", "nengliu_pipeline", "nengliu_writer", "nengliu_worker", "nengliu_read")


class Postgres:
    """The database server."""

    name = "postgres"
    title = "PostgreSQL"
    port_name = "postgres"

    def prepare(self, site: Site, programs: Programs) -> Process:
        """Make the data folder by initdb the first time; write postgresql.conf and pg_hba.conf."""
        account = database_account()
        folder = site.state.server(self.name)
        folder.mkdir(mode=0o700, exist_ok=True)
        account.give(folder)
        if account.owner:
            site.state.folder.chmod(0o711)  # through it to its own folder, no more
        account.require_access(folder, programs.postgres("initdb"))
        data = folder / "data"
        if not (data / "PG_VERSION").is_file():
            self._initdb(site, programs, data)
        memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
        digest = render(
            "postgres/postgresql.conf.j2",
            data / "postgresql.conf",
            host=site.settings.host,
            port=site.ports[self.name],
            shared_buffers_mb=min(1024, max(128, memory_mb // 16)),
            cache_mb=min(4096, memory_mb // 4),
            shared_memory="posix" if account.may_write(Path("/dev/shm")) else "mmap",
        )
        (data / "pg_hba.conf").write_text(_HBA)
        account.give(data)
        # setpriv comes last: taking on another identity clears the signal for the parent's death.
        command = [*account.prefix, "setpriv", "--pdeathsig", "INT", "--", str(programs.postgres("postgres"))]
        return Process(
            self.name,
            [*command, "-D", str(data)],
            folder,
            10,
            stop_signal="INT",
            stop_wait_s=120,
            digest=digest,
        )

    def _initdb(self, site: Site, programs: Programs, data: Path) -> None:
        account = database_account()
        password = data.parent / "superuser.password"
        password.write_text(site.state.secret("postgres"))
        account.give(data.parent)
        command = [str(programs.postgres("initdb")), "-D", str(data), "-U", "postgres", "-A", "scram-sha-256"]
        command += ["--pwfile", str(password), "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions"]
        done = subprocess.run([*account.prefix, *command], capture_output=True, text=True, check=False)
        password.unlink()
        if done.returncode != 0:
            raise StackError(f"PostgreSQL's initdb failed in {data}: {done.stderr.strip()[:800]}")

    def probe(self, site: Site) -> None:
        """Run a query as superuser."""
        try:
            with connect_database(site.settings, "superuser", database="postgres") as connection:
                connection.execute("select 1")
        except (DependencyAwayError, psycopg.Error) as e:
            raise NotReadyError(f"PostgreSQL: {e}") from e

    def ensure_database(self, site: Site) -> None:
        """Make the roles and the database with its extension, where they are missing."""
        with connect_database(site.settings, "superuser", database="postgres", autocommit=True) as connection:
            existing = {row[0] for row in connection.execute("select rolname from pg_roles")}
            for role in _ROLES:
                verb = "alter" if role in existing else "create"
                statement = sql.SQL(verb + " role {} login password {}")
                connection.execute(
                    statement.format(sql.Identifier(role), sql.Literal(site.state.secret(role)))
                )
            if not connection.execute(
                "select 1 from pg_database where datname = %s", [DATABASE_NAME]
            ).fetchone():
                connection.execute(
                    sql.SQL("create database {} owner nengliu_owner").format(sql.Identifier(DATABASE_NAME))
                )
        prepare_database(site, DATABASE_NAME)


def prepare_database(site: Site, database: str) -> None:
    """What only a superuser may do in a fresh database: the extension, and who may not use what of it."""
    script = files("deploy").joinpath("postgres/prepare_database.sql").read_text(encoding="utf-8")
    with connect_database(site.settings, "superuser", database=database) as connection:
        connection.execute(script)  # our own file
