# shellcheck shell=bash
# NATS, twice: as it comes, and with every write on disk before it is confirmed. Built from its source, since Debian's is
# too old; the go command checks what it fetches against the checksum database.
serves nats nats nats-durable

NATS_VERSION=v2.15.2

nats_port() {
  case $1 in
    nats) echo $((LEX_SERVICES_PORT_BASE + 22)) ;;
    nats-durable) echo $((LEX_SERVICES_PORT_BASE + 23)) ;;
  esac
}

nats_env() {
  local variable=TEST_${1^^}_URL
  echo "export ${variable//-/_}='nats://127.0.0.1:$(nats_port "$1")'"
}

nats_program() { echo "$LEX_SERVICES_DIR/nats-bin/nats-server-$NATS_VERSION"; }

nats_running() {
  local pid greeting
  pid=$(cat "$LEX_SERVICES_DIR/$1-data/pid" 2>/dev/null) && [ -n "$pid" ] && [ "$(readlink "/proc/$pid/exe")" = "$(nats_program)" ] || return 1
  { exec 3<>"/dev/tcp/127.0.0.1/$(nats_port "$1")"; } 2>/dev/null || return 1
  read -r -t 5 greeting <&3 || greeting=
  exec 3<&- 3>&-
  [[ $greeting == INFO* && $greeting == *'"jetstream":true'* ]]
}

nats_build() {
  local program folder=$LEX_SERVICES_DIR/nats-bin
  program=$(nats_program)
  [ ! -x "$program" ] || return 0
  command -v go >/dev/null || fail "nats: building the server needs go; or use \`docker compose up --wait nats nats-durable\`"
  say "nats: building nats-server $NATS_VERSION (a minute the first time)"
  mkdir -p "$folder/build"
  # in its own folder, so that neither this module nor a workspace has a say
  (cd "$folder/build" && GOBIN=$folder/build GOWORK=off GOFLAGS='' CGO_ENABLED=0 go install "github.com/nats-io/nats-server/v2@$NATS_VERSION") \
    >"$folder/build.log" 2>&1 </dev/null || { tail -5 "$folder/build.log" >&2; fail "nats: the build failed; its log: $folder/build.log"; }
  mv "$folder/build/nats-server" "$program" # last, so that a file with this name is always whole
}

nats_up() {
  local name=$1 port folder=$LEX_SERVICES_DIR/$1-data sync
  port=$(nats_port "$name")
  nats_build
  if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    fail "$name: port $port is taken by another program; set LEX_SERVICES_PORT_BASE (now $LEX_SERVICES_PORT_BASE)"
  fi
  case $name in
    nats) sync=2m ;;
    nats-durable) sync=always ;;
  esac
  mkdir -p "$folder"
  cat >"$folder/server.conf" <<CONF
server_name: $name
listen: 127.0.0.1:$port
pid_file: "$folder/pid"
log_file: "$folder/server.log"
jetstream { store_dir: "$folder", sync_interval: $sync, max_file_store: 8GB, max_memory_store: 1GB }
CONF
  rm -f "$folder/pid"
  detached setsid --fork "$(nats_program)" -c "$folder/server.conf" >"$folder/out" 2>&1 </dev/null
  for _ in {1..150}; do
    if nats_running "$name"; then return; fi
    sleep 0.2
  done
  tail -5 "$folder/server.log" "$folder/out" >&2
  fail "$name did not start; its log: $folder/server.log"
}

nats_down() {
  local pid
  pid=$(cat "$LEX_SERVICES_DIR/$1-data/pid")
  kill "$pid"
  for _ in {1..150}; do
    [ -e "/proc/$pid" ] || return 0
    sleep 0.2
  done
  fail "$1 does not stop (process $pid)"
}
