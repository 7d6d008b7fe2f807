# shellcheck shell=bash
# Kafka: one real broker, which is its own controller (KRaft), from Maven Central's artifacts (scripts/kafka/pom.xml) on
# the machine's Java. It has two listeners: one where everybody is the superuser, and one where users say who they are
# (SASL PLAIN and SCRAM), for the tests of that. An authorizer asks what they may do.
#
# Where Maven Central cannot be reached, a stand-in runs: franz-go's kfake, which is what the author of our client knows
# of Kafka (scripts/kafkafake). Then TEST_KAFKA_REAL is 0. Where every server is required, as in CI, the stand-in will not do.
serves kafka kafka

kafka_port() { echo $((LEX_SERVICES_PORT_BASE + 92)); }
kafka_controller_port() { echo $((LEX_SERVICES_PORT_BASE + 93)); }
kafka_sasl_port() { echo $((LEX_SERVICES_PORT_BASE + 94)); }

# TEST_KAFKA_HOME, which is there with the real one only, lets tests start brokers of their own, to kill them.
kafka_env() {
  local real=1
  [ ! -e "$LEX_SERVICES_DIR/kafka-data/standin" ] || real=0
  echo "export TEST_KAFKA_URL='kafka://127.0.0.1:$(kafka_port)'"
  echo "export TEST_KAFKA_REAL='$real'"
  [ $real = 0 ] || echo "export TEST_KAFKA_SASL_ADDR='127.0.0.1:$(kafka_sasl_port)'"
  [ ! -d "$LEX_SERVICES_DIR/kafka" ] || echo "export TEST_KAFKA_HOME='$LEX_SERVICES_DIR/kafka'"
}

kafka_running() {
  local pid
  pid=$(cat "$LEX_SERVICES_DIR/kafka-data/pid" 2>/dev/null) && [ -n "$pid" ] &&
    case $(cat "/proc/$pid/comm" 2>/dev/null) in java | kafkafake) ;; *) false ;; esac && kafka_answers
}

# A broker answers any request that it understands with the length of what follows: here ApiVersions, version 0.
kafka_answers() {
  local length
  { exec 3<>"/dev/tcp/127.0.0.1/$(kafka_port)"; } 2>/dev/null || return 1
  printf '\0\0\0\012\0\022\0\0\0\0\0\1\377\377' >&3
  length=$(timeout 5 head -c 4 <&3 | od -An -tu1)
  exec 3<&- 3>&-
  [ -n "$length" ]
}

# kafka_install puts the artifacts into $LEX_SERVICES_DIR/kafka, checked, or tells why it cannot.
kafka_install() {
  local home=$LEX_SERVICES_DIR/kafka work=$LEX_SERVICES_DIR/kafka.fetch
  if [ -d "$home" ] && cmp -s kafka/pom.xml "$home/pom.xml"; then return; fi
  rm -rf "$work" "$home"
  mkdir "$work"
  cp kafka/pom.xml kafka/log4j2.properties "$work/"
  say "kafka: fetching its artifacts from Maven Central"
  mvn --batch-mode --quiet --file "$work/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
    "-DoutputDirectory=$work/libs" >"$LEX_SERVICES_DIR/kafka-fetch.log" 2>&1 </dev/null || return 1
  # Every file that is named is there as it was when the versions were chosen, and no other is.
  if ! (cd "$work/libs" && sha256sum --quiet --check "$OLDPWD/kafka/SHA256SUMS") >&2 ||
    [ "$(find "$work/libs" -type f | wc -l)" != "$(wc -l <kafka/SHA256SUMS)" ]; then
    fail "kafka: what came from Maven Central is not what scripts/kafka/SHA256SUMS expects; it is in $work/libs"
  fi
  mv "$work" "$home" # last, so that a folder with this name is always whole
}

kafka_up() {
  local folder=$LEX_SERVICES_DIR/kafka-data port i
  port=$(kafka_port)
  if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    fail "kafka: port $port is taken by another program; set LEX_SERVICES_PORT_BASE (now $LEX_SERVICES_PORT_BASE)"
  fi
  command -v java >/dev/null || install_packages default-jre-headless
  command -v mvn >/dev/null || install_packages maven
  mkdir -p "$folder"
  rm -f "$folder/pid" "$folder/standin"
  if kafka_install; then
    kafka_real
  else
    tail -3 "$LEX_SERVICES_DIR/kafka-fetch.log" >&2
    [ -z "${REQUIRE_SERVICES:-}" ] || fail "kafka: MAVEN CENTRAL GIVES NO BROKER, and here a real one is required; the whole log: $LEX_SERVICES_DIR/kafka-fetch.log"
    say "kafka: MAVEN CENTRAL GIVES NO BROKER: a stand-in runs instead (franz-go's kfake), which proves less"
    kafka_standin
  fi
  for i in $(seq 300); do
    if kafka_running; then return; fi
    sleep 0.2
  done
  tail -5 "$folder/log" >&2
  fail "kafka did not start within 60 s; its log: $folder/log"
}

kafka_real() {
  local folder=$LEX_SERVICES_DIR/kafka-data home=$LEX_SERVICES_DIR/kafka java
  java=(java -Xms256m -Xmx768m -XX:+UseSerialGC -Djava.net.preferIPv4Stack=true
    "-Dlog4j2.configurationFile=$home/log4j2.properties" -cp "$home/libs/*")
  # As Kafka comes, what is acknowledged is in the kernel's memory, and not yet on disk: a killed broker loses nothing.
  cat >"$folder/server.properties" <<CONF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$(kafka_controller_port)
listeners=PLAINTEXT://127.0.0.1:$(kafka_port),SASL://127.0.0.1:$(kafka_sasl_port),CONTROLLER://127.0.0.1:$(kafka_controller_port)
advertised.listeners=PLAINTEXT://127.0.0.1:$(kafka_port),SASL://127.0.0.1:$(kafka_sasl_port)
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_plain="plain-secret";
listener.name.sasl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
log.dirs=$folder/log-dirs
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.retention.hours=24
CONF
  if [ ! -e "$folder/log-dirs/meta.properties" ]; then
    rm -rf "$folder/log-dirs" # a format that was interrupted
    "${java[@]}" kafka.tools.StorageTool format --cluster-id "$("${java[@]}" kafka.tools.StorageTool random-uuid)" \
      --config "$folder/server.properties" >"$folder/format.log" 2>&1 </dev/null || { tail -5 "$folder/format.log" >&2; fail "kafka: formatting its folder failed"; }
  fi
  kafka_start "${java[@]}" kafka.Kafka "$folder/server.properties"
}

kafka_standin() {
  local folder=$LEX_SERVICES_DIR/kafka-data
  (cd kafkafake && GOWORK=off GOFLAGS= go build -o "$folder/kafkafake" .) >"$folder/build.log" 2>&1 </dev/null ||
    { tail -5 "$folder/build.log" >&2; fail "kafka: the build of the stand-in failed; its log: $folder/build.log"; }
  touch "$folder/standin"
  kafka_start "$folder/kafkafake" -port "$(kafka_port)" -data "$folder/fake"
}

kafka_start() { # kafka_start COMMAND...: in the background, with its process id in the folder
  # shellcheck disable=SC2016 # the inner shell expands these
  detached setsid --fork sh -c 'echo $$ >"$1/pid"; shift; exec "$@"' sh "$LEX_SERVICES_DIR/kafka-data" "$@" \
    >"$LEX_SERVICES_DIR/kafka-data/log" 2>&1 </dev/null
}

kafka_down() {
  local pid
  pid=$(cat "$LEX_SERVICES_DIR/kafka-data/pid")
  kill "$pid"
  for _ in {1..150}; do
    [ -e "/proc/$pid" ] || return 0
    sleep 0.2
  done
  kill -KILL "$pid" 2>/dev/null || true
}
