"""Whether the database's collation puts tracking numbers in the order of their time.

Partitions by month, and every sweep of recent orders, take a range of tracking numbers for a range of time. That holds
where texts are compared byte by byte (C, POSIX, C.UTF-8), and in every collation that ranks the 32 letters of a ULID
(Crockford: 0-9, A-Z without I, L, O and U; always capitals) one by one and in their own order, as English does. It does
not where a collation takes some of them together or elsewhere: Czech has CH behind H, Danish AA behind Z, Estonian Z
behind S. No language ranks more than three letters as one (Hungarian has DZS), so all words of three are tried: the
order is given by neighbours alone, as it is transitive.

What is here is what a migration runs; its text must not change.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

_OTHERWISE: Final = """
    WITH letter AS (SELECT unnest(string_to_array('0123456789ABCDEFGHJKMNPQRSTVWXYZ', NULL)) AS it),
    word AS (SELECT 'trk_' || a.it || b.it || c.it AS it FROM letter AS a, letter AS b, letter AS c),
    pair AS (SELECT it, lead(it) OVER (ORDER BY it COLLATE "C") AS following FROM word)
    SELECT count(*) FROM pair WHERE following IS NOT NULL AND NOT it < following COLLATE "{collation}"
"""

REFUSE_ANOTHER_ORDER: Final = f"""
DO $$
BEGIN
    IF ({_OTHERWISE.format(collation="default")}) > 0 THEN
        RAISE EXCEPTION 'this database does not sort tracking numbers by their time'
            USING HINT = 'Make one with another collation and move into it: CREATE DATABASE ... TEMPLATE template0'
                ' LOCALE ''C'' ENCODING ''UTF8''; then pg_dump and pg_restore; then migrate again.';
    END IF;
END $$
"""
"""Ends a migration in a database whose collation is another."""


def is_by_time(conn: Connection, collation: str = "default") -> bool:
    """Whether *collation*, a name of this database's, sorts tracking numbers by their time."""
    return int(conn.execute(text(_OTHERWISE.format(collation=collation))).scalar_one()) == 0
