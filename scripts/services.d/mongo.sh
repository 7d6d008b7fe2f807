# shellcheck shell=bash
# A stand-in for MongoDB: FerretDB with what it lacks of MongoDB's promises (scripts/mongofake), and FerretDB as it is, on
# the same data: one program on two ports. Debian has no MongoDB, and no registry ships one. The data is in Debian's
# PostgreSQL. A real one is better: set TEST_MONGO_URL to its URL, or use `docker compose up --wait mongo`.
serves mongo mongo ferretdb

mongo_port() { echo $((LEX_SERVICES_PORT_BASE + 17)); }
mongo_plain_port() { echo $((LEX_SERVICES_PORT_BASE + 16)); }

mongo_env() {
  case $1 in
    mongo) echo "export TEST_MONGO_URL='mongodb://127.0.0.1:$(mongo_port)/?directConnection=true'" ;;
    ferretdb) echo "export TEST_FERRETDB_URL='mongodb://127.0.0.1:$(mongo_plain_port)/?directConnection=true'" ;;
  esac
}

mongo_running() {
  local pid
  pid=$(cat "$LEX_SERVICES_DIR/mongo/pid" 2>/dev/null) && [ -n "$pid" ] && [ "$(readlink "/proc/$pid/exe")" = "$LEX_SERVICES_DIR/mongo/mongofake" ] &&
    (exec 3<>"/dev/tcp/127.0.0.1/$(mongo_port)") 2>/dev/null
}

mongo_up() {
  local folder=$LEX_SERVICES_DIR/mongo port psql i
  port=$(mongo_port)
  if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    fail "mongo: port $port is taken by another program; set LEX_SERVICES_PORT_BASE (now $LEX_SERVICES_PORT_BASE)"
  fi
  mkdir -p "$folder"
  postgres_running postgres || postgres_up postgres
  psql=$(postgres_home postgres)/bin/psql
  if [ -z "$("$psql" -h 127.0.0.1 -p "$(postgres_port postgres)" -U postgres -Atqc "select 1 from pg_database where datname = 'ferretdb'")" ]; then
    "$psql" -h 127.0.0.1 -p "$(postgres_port postgres)" -U postgres -qc 'create database ferretdb'
  fi
  say "mongo: building scripts/mongofake (a minute the first time)"
  (cd mongofake && GOWORK=off GOFLAGS= go build -o "$folder/mongofake" .) >"$folder/build.log" 2>&1 </dev/null ||
    { tail -5 "$folder/build.log" >&2; fail "mongo: the build failed; its log: $folder/build.log"; }
  # shellcheck disable=SC2016 # the inner shell expands these
  detached setsid --fork sh -c 'echo $$ >"$1/pid"; exec "$1/mongofake" -listen "127.0.0.1:$2" -plain "127.0.0.1:$3" -postgres "$4"' sh \
    "$folder" "$port" "$(mongo_plain_port)" "postgres://postgres@127.0.0.1:$(postgres_port postgres)/ferretdb?sslmode=disable&pool_max_conns=150" \
    >"$folder/log" 2>&1 </dev/null
  for i in $(seq 100); do
    if mongo_running; then return; fi
    sleep 0.1
  done
  tail -5 "$folder/log" >&2
  fail "mongo did not start within 10 s; its log: $folder/log"
}

mongo_down() {
  local pid i
  pid=$(cat "$LEX_SERVICES_DIR/mongo/pid")
  kill "$pid"
  for i in $(seq 50); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -KILL "$pid" 2>/dev/null || true
}
