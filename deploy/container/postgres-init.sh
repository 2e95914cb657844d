#!/bin/sh
# Runs once, in the postgres image, on a data directory that is new: the logins and the database, as README.md ("Your
# own PostgreSQL") tells; `python -m shared.store.migrate` does the rest.
set -eu
psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname=postgres \
    --set=owner="$(cat /run/secrets/owner_password)" --set=api="$(cat /run/secrets/api_password)" <<'SQL'
CREATE ROLE c2a LOGIN PASSWORD :'owner';
CREATE ROLE c2a_api LOGIN PASSWORD :'api';
CREATE ROLE c2a_engine_room NOLOGIN;
GRANT c2a_api, c2a_engine_room TO c2a;
CREATE DATABASE c2a OWNER c2a;
SQL
