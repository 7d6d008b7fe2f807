# shellcheck shell=bash
# What the scripts in this folder share.

# Where servers and their data live: outside of the repository, so that `git clean` and backups leave them alone.
LEX_SERVICES_DIR=${LEX_SERVICES_DIR:-/tmp/lexigram-events-services}

say() { echo "${0##*/}: $*" >&2; } # progress; stdout is for results

fail() {
  say "$*"
  exit 1
}

is_root() { [ "$(id -u)" = 0 ]; }
is_debian() { [ -e /etc/debian_version ] && command -v apt-get >/dev/null; }

# detached COMMAND...: runs it without the file descriptors of whoever called us, our lock among them. A server that
# kept one would make its reader (a CI job, a pipe) wait for ever. Standard input, output and error are the caller's to set.
detached() (
  local fd
  for fd in /proc/self/fd/*; do
    fd=${fd##*/}
    [ "$fd" -le 2 ] || eval "exec $fd>&-"
  done
  cd / # the caller's folder may be unreadable to the server's user, or removed later
  exec "$@"
)

# The base folder holds programs that we run, perhaps as root, so a folder that somebody else made will not do.
# 755: servers that run as their own user must get through it.
own_base_dir() {
  mkdir -p "$LEX_SERVICES_DIR"
  [ -O "$LEX_SERVICES_DIR" ] || fail "$LEX_SERVICES_DIR belongs to another user; set LEX_SERVICES_DIR to a folder of yours"
  chmod 755 "$LEX_SERVICES_DIR"
}

# install_packages PACKAGE...: apt, and only as root on Debian. Nothing that is installed gets started:
# policy-rc.d answers 101 ("forbidden") for as long as apt runs.
install_packages() {
  if ! is_root || ! is_debian; then
    fail "these Debian packages are missing: $*. Only root on Debian can install them; elsewhere use \`docker compose up --wait\`, or set the TEST_ variables to servers of your own"
  fi
  own_base_dir
  local log=$LEX_SERVICES_DIR/apt.log policy=/usr/sbin/policy-rc.d made=
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
    made=1
  fi
  say "installing $*"
  local ok=1
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq \
    --no-install-recommends "$@"; } >"$log" 2>&1 </dev/null || ok=
  [ -z "$made" ] || rm -f $policy
  [ -n "$ok" ] || { tail -20 "$log" >&2; fail "apt could not install $* (the whole output: $log)"; }
}

# npm_package NAME VERSION SHA512 FOLDER: unpacks a package of the npm registry into FOLDER, once. Nothing of it is
# run, there is no node in this. The checksum is the registry's "integrity" and is pinned by the caller.
npm_package() {
  local name=$1 version=$2 sum=$3 folder=$4 work
  [ -e "$folder" ] && return
  say "fetching $name $version from npm"
  work=$folder.fetch
  rm -rf "$work" # of an attempt that failed
  mkdir "$work"
  if command -v npm >/dev/null; then
    (cd "$work" && npm pack --silent "$name@$version" >/dev/null 2>npm.log </dev/null) || { tail -5 "$work/npm.log" >&2; fail "npm pack $name@$version failed"; }
  else
    command -v curl >/dev/null || install_packages curl ca-certificates
    local registry=${npm_config_registry:-https://registry.npmjs.org}
    (cd "$work" && curl -fsSLO --retry 3 "${registry%/}/$name/-/${name##*/}-$version.tgz") || fail "cannot fetch $name@$version from $registry"
  fi
  [ "$(cat "$work"/*.tgz | sha512sum | cut -d' ' -f1)" = "$sum" ] || fail "$name@$version: the file fetched is not the one this script expects (sha512)"
  tar -xzf "$work"/*.tgz -C "$work"
  chmod 755 "$work/package"
  mv "$work/package" "$folder" # last, so that a folder with this name is always whole
  rm -r "$work"
}
