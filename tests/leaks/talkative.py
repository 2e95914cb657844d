"""Makes a stack's PostgreSQL log and remember all it can, as an operator may who looks for a fault."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from deploy.stack.home import Home
from deploy.stack.postgres import ADMIN
from tests.support import outage
from tests.support.psp import until
from tests.support.stack import Stack

SETTINGS: Final = {
    "log_statement": "all",
    "log_error_verbosity": "verbose",
    "log_min_error_statement": "debug1",
    "log_parameter_max_length": "-1",
    "log_parameter_max_length_on_error": "-1",
    "track_activity_query_size": "65536",
}
STATEMENTS: Final = "pg_stat_statements"
"""Where the server comes with it: the wheel's does not."""


def make(stack: Stack) -> None:
    """Do it; the restart it needs is a kill -9."""
    with psycopg.connect(admin(stack), autocommit=True) as conn:
        has = conn.execute("SELECT 1 FROM pg_available_extensions WHERE name = %s", [STATEMENTS]).fetchone()
        for name, value in (SETTINGS | ({"shared_preload_libraries": STATEMENTS} if has else {})).items():
            conn.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
    outage.kill(stack, "postgres")
    until(lambda: _answers(stack), seconds=outage.BACK_WITHIN_S)
    outage.until_well(stack)
    if has:
        with psycopg.connect(admin(stack), autocommit=True) as conn:
            conn.execute(sql.SQL("CREATE EXTENSION {}").format(sql.Identifier(STATEMENTS)))


def admin(stack: Stack) -> str:
    """The address by which its superuser connects to the product's database."""
    url = make_url(stack.postgres_dsn).set(username=ADMIN, password=Home(stack.home).password_of("postgres"))
    return url.render_as_string(hide_password=False)


def _answers(stack: Stack) -> bool:
    with suppress(psycopg.OperationalError), psycopg.connect(admin(stack)):
        return True
    return False
