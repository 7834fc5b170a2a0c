#!/bin/sh
# The store: PostgreSQL in a folder, made with fence.sql if it is not there yet.
# usage: store.sh FOLDER [OPTION OF postgres...]
set -eu
folder=$1
shift
PATH=$PATH:$(echo /usr/lib/postgresql/*/bin)

if [ ! -d "$folder/db" ]; then
  rm -rf "$folder/new"
  # Without passwords, for the example: whoever reaches it may write.
  initdb --pgdata "$folder/new" --username postgres --auth trust --no-sync >/dev/null
  echo 'host all all all trust' >>"$folder/new/pg_hba.conf"
  pg_ctl --pgdata "$folder/new" --wait --silent --options "-c listen_addresses= -k $folder" start
  psql --no-psqlrc --quiet --host "$folder" --username postgres --set ON_ERROR_STOP=1 --file "$(dirname "$0")/fence.sql"
  pg_ctl --pgdata "$folder/new" --wait --silent stop
  mv "$folder/new" "$folder/db"
fi
exec postgres -D "$folder/db" -k "$folder" "$@"
