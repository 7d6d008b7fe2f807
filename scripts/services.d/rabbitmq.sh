# shellcheck shell=bash
# RabbitMQ: one node with a name, a cookie, an epmd and folders of its own, so that it meets no other Erlang program of
# the machine. The management plugin is there for the tests, which make virtual hosts and users over its HTTP interface.
# What `rabbitmqctl` needs to reach the node is in $LEX_SERVICES_DIR/rabbitmq-data/env.sh.
serves rabbitmq rabbitmq

rabbitmq_port() { echo $((LEX_SERVICES_PORT_BASE + 72)); }
rabbitmq_dist_port() { echo $((LEX_SERVICES_PORT_BASE + 73)); }
rabbitmq_management_port() { echo $((LEX_SERVICES_PORT_BASE + 74)); }
rabbitmq_epmd_port() { echo $((LEX_SERVICES_PORT_BASE + 69)); }

rabbitmq_env() {
  echo "export TEST_RABBITMQ_URL='amqp://guest:guest@127.0.0.1:$(rabbitmq_port)/'"
  echo "export TEST_RABBITMQ_MANAGEMENT_URL='http://guest:guest@127.0.0.1:$(rabbitmq_management_port)'"
}

rabbitmq_running() {
  local pid
  pid=$(cat "$LEX_SERVICES_DIR/rabbitmq-data/pid" 2>/dev/null) && [ -n "$pid" ] &&
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = beam.smp ] && rabbitmq_answers
}

# A server that is up closes a connection that does not speak AMQP, after saying what it would like to hear.
rabbitmq_answers() {
  local answer
  (exec 3<>"/dev/tcp/127.0.0.1/$(rabbitmq_management_port)") 2>/dev/null || return 1
  { exec 3<>"/dev/tcp/127.0.0.1/$(rabbitmq_port)"; } 2>/dev/null || return 1
  printf 'PING\r\n\r\n' >&3
  read -r -N 4 -t 5 answer <&3 || answer=
  exec 3<&- 3>&-
  [ "$answer" = AMQP ]
}

rabbitmq_settings() { # the environment of the server and of rabbitmqctl
  local folder=$LEX_SERVICES_DIR/rabbitmq-data
  cat <<ENV
export HOME='$folder' LC_ALL=C.UTF-8
export RABBITMQ_NODENAME=lexigram@localhost RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT=$(rabbitmq_port)
export RABBITMQ_DIST_PORT=$(rabbitmq_dist_port) ERL_EPMD_PORT=$(rabbitmq_epmd_port) ERL_EPMD_ADDRESS=127.0.0.1
export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}'
export RABBITMQ_MNESIA_BASE='$folder/mnesia' RABBITMQ_LOG_BASE='$folder/log' RABBITMQ_PID_FILE='$folder/pid'
export RABBITMQ_CONFIG_FILE='$folder/rabbitmq.conf' RABBITMQ_CONF_ENV_FILE='$folder/env.conf'
export RABBITMQ_ENABLED_PLUGINS_FILE='$folder/enabled_plugins'
ENV
}

rabbitmq_up() {
  local folder=$LEX_SERVICES_DIR/rabbitmq-data port pid i
  port=$(rabbitmq_port)
  [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || install_packages rabbitmq-server
  if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    fail "rabbitmq: port $port is taken by another program; set LEX_SERVICES_PORT_BASE (now $LEX_SERVICES_PORT_BASE)"
  fi
  mkdir -p "$folder/mnesia" "$folder/log"
  rm -f "$folder/pid"
  : >"$folder/env.conf"
  echo '[rabbitmq_management].' >"$folder/enabled_plugins"
  rabbitmq_settings >"$folder/env.sh"
  # Confirmed is on disk, as it comes. The alarms stop publishers long before this machine has a problem; what counts is
  # the memory that is in use, not what Erlang holds on to after it.
  cat >"$folder/rabbitmq.conf" <<CONF
listeners.tcp.default = 127.0.0.1:$port
management.tcp.ip = 127.0.0.1
management.tcp.port = $(rabbitmq_management_port)
management_agent.disable_metrics_collector = true
disk_free_limit.absolute = 50MB
vm_memory_high_watermark.absolute = 1GB
vm_memory_calculation_strategy = erlang
log.console = false
CONF
  # Not /usr/sbin/rabbitmq-server: that one changes the user and the folder.
  # shellcheck disable=SC2016 # the inner shell expands these
  detached setsid --fork sh -c '. "$1/env.sh"; cd "$1"; exec /usr/lib/rabbitmq/bin/rabbitmq-server' sh "$folder" \
    >"$folder/out.log" 2>&1 </dev/null
  for i in $(seq 300); do
    if rabbitmq_running; then return; fi
    sleep 0.2
  done
  tail -5 "$folder/out.log" >&2
  fail "rabbitmq did not start within 60 s; its logs: $folder/out.log and $folder/log"
}

rabbitmq_down() {
  local folder=$LEX_SERVICES_DIR/rabbitmq-data pid i
  pid=$(cat "$folder/pid")
  kill "$pid"
  for i in $(seq 150); do
    [ -e "/proc/$pid" ] || break
    sleep 0.2
  done
  if [ -e "/proc/$pid" ]; then kill -KILL "$pid" 2>/dev/null || true; fi
  # Its epmd is a daemon of its own, which knows this node alone: its port is ours.
  ERL_EPMD_PORT=$(rabbitmq_epmd_port) ERL_EPMD_ADDRESS=127.0.0.1 epmd -kill >/dev/null 2>&1 || true
}
