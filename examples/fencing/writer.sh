#!/bin/sh
# The program: writes down numbers, one after the other, and goes on where the last one
# ended. It may run once at a time. The environment says where the store is (PGHOST) and
# which ownership this is (UNDERSTUDY_EPOCH).
set -eu
epoch=$UNDERSTUDY_EPOCH
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH # psql itself; Debian puts a slow wrapper first
ask() { psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --command "$1"; }

until pg_isready --quiet; do sleep 0.2; done

# First announce, then read, then write.
ask "SELECT announce($epoch)" >/dev/null
n=$(ask 'SELECT coalesce(max(n), 0) FROM entries')

# A transaction is one message to the store: a program that is stopped here leaves
# none open. Whatever goes wrong, a refusal as well, ends the program.
while true; do
  n=$((n + 1))
  ask "BEGIN; SELECT check_epoch($epoch); INSERT INTO entries (epoch, n) VALUES ($epoch, $n); COMMIT" >/dev/null
  sleep 0.05
done
