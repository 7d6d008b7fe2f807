# shellcheck shell=bash
# Redis, twice: as it comes, without persistence, and with every write on disk before it is acknowledged.
serves redis redis redis-durable

redis_port() {
  case $1 in
    redis) echo $((LEX_SERVICES_PORT_BASE + 79)) ;;
    redis-durable) echo $((LEX_SERVICES_PORT_BASE + 80)) ;;
  esac
}

redis_env() {
  local variable=TEST_${1^^}_URL
  echo "export ${variable//-/_}='redis://127.0.0.1:$(redis_port "$1")/0'"
}

redis_running() {
  local pid
  pid=$(cat "$LEX_SERVICES_DIR/$1-data/pid" 2>/dev/null) && [ -n "$pid" ] &&
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = redis-server ] && redis_answers "$1"
}

redis_answers() {
  local answer
  { exec 3<>"/dev/tcp/127.0.0.1/$(redis_port "$1")"; } 2>/dev/null || return 1
  printf 'PING\r\n' >&3
  read -r -t 5 answer <&3 || answer=
  exec 3<&- 3>&-
  [ "${answer%$'\r'}" = +PONG ]
}

redis_up() {
  local name=$1 port folder=$LEX_SERVICES_DIR/$1-data persistence
  port=$(redis_port "$name")
  command -v redis-server >/dev/null || install_packages redis-server
  if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    fail "$name: port $port is taken by another program; set LEX_SERVICES_PORT_BASE (now $LEX_SERVICES_PORT_BASE)"
  fi
  case $name in
    redis) persistence=(--appendonly no) ;;
    redis-durable) persistence=(--appendonly yes --appendfsync always) ;;
  esac
  mkdir -p "$folder"
  rm -f "$folder/pid"
  detached redis-server --bind 127.0.0.1 --port "$port" --dir "$folder" --pidfile "$folder/pid" --logfile "$folder/server.log" \
    --daemonize yes --save '' "${persistence[@]}" >/dev/null 2>&1 </dev/null
  for _ in {1..150}; do
    if redis_running "$name"; then return; fi
    sleep 0.2
  done
  tail -5 "$folder/server.log" >&2
  fail "$name did not start; its log: $folder/server.log"
}

redis_down() {
  local pid
  pid=$(cat "$LEX_SERVICES_DIR/$1-data/pid")
  kill "$pid"
  for _ in {1..150}; do
    [ -e "/proc/$pid" ] || return 0
    sleep 0.2
  done
  fail "$1 does not stop (process $pid)"
}
