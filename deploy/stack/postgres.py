"""A PostgreSQL of our own: a private cluster on a loopback port, with a password and full durability.

fsync and synchronous_commit stay as PostgreSQL ships them: what the system promises is promised on real commits.
The server log carries no statement and no DETAIL line, because PostgreSQL quotes the values of a row there.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from deploy.stack import account, binaries
from deploy.stack.account import Account
from deploy.stack.home import Home
from deploy.stack.ports import HOST
from deploy.stack.program import HOME_MARK, Program
from shared.store.row_security import Role

ADMIN: Final = "postgres"
OWNER: Final = "c2a"
"""Who migrates, commands and, as the engine room, works; and the database it owns: no superuser."""
API: Final = Role.API.value
"""The login of the API: it owns nothing and takes no other role."""

SETTINGS: Final = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    # 2 API processes and 11 worker processes of at most 8 connections each, and room to look on.
    "max_connections": "200",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
INITDB_WITHIN_S: Final = 60


class DataOfAnotherVersion(RuntimeError):
    """The kept data was written by another major version than the server found now."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """One cluster: where it lives, who runs it, which programs serve it."""

    folder: Path
    bin_folder: Path
    account: Account | None
    port: int
    password: str
    note: str | None = None

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.folder / "data"

    def url(self, *, user: str = ADMIN, database: str = ADMIN) -> str:
        """The address as a libpq URL. All roles share the generated password: it is one server of one owner."""
        return f"postgresql://{user}:{self.password}@{HOST}:{self.port}/{database}"

    def is_ready(self) -> bool:
        """Whether the server answers."""
        try:
            with psycopg.connect(self.url(), connect_timeout=1):
                return True
        except psycopg.OperationalError:
            return False


def prepare(home: Home, *, port: int) -> Postgres:
    """A cluster for *home*, initialised if it is new.

    Raises NoAccount, NotFound, DataOfAnotherVersion, or CalledProcessError with what initdb said.
    """
    server = _placed(home, port)
    if not server.data.exists():
        _initialise(server)
    version = int((server.data / "PG_VERSION").read_text())
    found = binaries.postgres_major(server.bin_folder)
    if version != found:
        raise DataOfAnotherVersion(
            f"{server.data} was written by PostgreSQL {version} and the one found is {found}: "
            f"put version {version} on the PATH, or forget the data with --reset"
        )
    return server


def _placed(home: Home, port: int) -> Postgres:
    """Decide where the cluster lives: in *home*, unless the account it must run as cannot get there."""
    runner, bin_folder, password = account.for_postgres(), binaries.postgres_bin(), home.password_of("postgres")
    if runner is None:
        folder = home.path / "postgres"
        folder.mkdir(mode=0o700, exist_ok=True)
        return Postgres(folder, bin_folder, None, port, password)
    place, note = home.path, f"PostgreSQL runs as {runner.name}, as it refuses to run as root"
    if runner.may_enter(home.path.parent):
        home.path.chmod(0o711)  # Passable, not listable; every file in it stays ours alone.
    else:
        place = account.make_outside(home.path)
        note += f"; its data is in {place}, as the way to {home.path} is closed to that account"
    if not runner.may_enter(bin_folder):
        place_of_copy = account.make_outside(home.path)
        bin_folder = binaries.copy_postgres(bin_folder, place_of_copy)
        note += f"; its programs are copied to {place_of_copy} for the same reason"
    account.give(place / "postgres", runner)
    return Postgres(place / "postgres", bin_folder, runner, port, password, note)


def _initialise(server: Postgres) -> None:
    half, secret = server.folder / "half-made", server.folder / "initial-password"
    shutil.rmtree(half, ignore_errors=True)
    secret.unlink(missing_ok=True)
    secret.touch(mode=0o600)
    secret.write_text(server.password + "\n")
    if server.account is not None:
        os.chown(secret, server.account.uid, server.account.gid)
    try:
        _run_initdb(server, half, secret)
    finally:
        secret.unlink()
    with (half / "postgresql.auto.conf").open("a") as settings:
        settings.writelines(f"{name} = '{value}'\n" for name, value in SETTINGS.items())
    # Renamed last: a cluster that was cut short is never taken for a whole one.
    half.rename(server.data)


def _run_initdb(server: Postgres, data: Path, secret: Path) -> None:
    runner = server.account
    subprocess.run(
        [
            *(server.bin_folder / "initdb", "-D", data, "-U", ADMIN, f"--pwfile={secret}"),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=INITDB_WITHIN_S,
        cwd=server.folder,
        env=_environment(server),
        start_new_session=True,  # Ctrl-C in a terminal is for us to hear.
        user=runner.uid if runner else None,
        group=runner.gid if runner else None,
        extra_groups=() if runner else None,
    )


def program(server: Postgres, home: Home) -> Program:
    """How to run *server*. SIGINT is its fast shutdown: it does not wait for clients to leave."""
    return Program(
        name="postgres",
        argv=(str(server.bin_folder / "postgres"), "-D", str(server.data), "-p", str(server.port)),
        log=home.log_of("postgres"),
        cwd=server.folder,
        env=_environment(server) | {HOME_MARK: str(home.path)},
        is_ready=server.is_ready,
        account=server.account,
        stop_signal=signal.SIGINT,
        grace_s=20.0,  # The shutdown checkpoint writes up to shared_buffers (128 MB).
    )


def provide_database(server: Postgres) -> str:
    """The product's roles and database, made if they are missing; the URL to migrate with."""
    with psycopg.connect(server.url(), autocommit=True) as conn:
        for login in (OWNER, API):
            _provide(conn, login, sql.SQL("LOGIN PASSWORD {}").format(server.password))
        _provide(conn, Role.ENGINE_ROOM.value, sql.SQL("NOLOGIN"))
        for role in Role:  # As a member it sees the rows it migrates, and may look at and end the API's sessions.
            conn.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(OWNER)))
        if conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", [OWNER]).fetchone() is None:
            conn.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(sql.Identifier(OWNER)))
    return server.url(user=OWNER, database=OWNER)


def _provide(conn: psycopg.Connection[Any], role: str, attributes: sql.Composable) -> None:
    if conn.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone() is None:
        conn.execute(sql.SQL("CREATE ROLE {} {}").format(sql.Identifier(role), attributes))


def _environment(server: Postgres) -> dict[str, str]:
    # Nothing of ours: the server needs no address or key, and its account may not learn any.
    return {"PATH": f"{server.bin_folder}:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
