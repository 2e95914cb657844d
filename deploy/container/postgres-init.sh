#!/bin/sh
# Runs once, in the postgres image, on a data directory that is new: the logins and the database, as README.md ("Your
# own PostgreSQL") tells; `python -m shared.store.migrate` does the rest. psql reads the passwords itself: in arguments
# they would be everybody's to see.
set -eu
export C2A_SECRETS="${C2A_SECRETS:-/run/secrets}"
psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname=postgres <<'SQL'
\set owner `cat "$C2A_SECRETS/owner_password"`
\set api `cat "$C2A_SECRETS/api_password"`
CREATE ROLE c2a LOGIN PASSWORD :'owner';
CREATE ROLE c2a_api LOGIN PASSWORD :'api';
CREATE ROLE c2a_engine_room NOLOGIN;
GRANT c2a_api, c2a_engine_room TO c2a;
CREATE DATABASE c2a OWNER c2a;
SQL
