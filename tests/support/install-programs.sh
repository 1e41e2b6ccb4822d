#!/bin/sh
# Installs the programs that tests and benchmarks run against, where they are missing.
# Each line is a program to look for and the Debian packages that hold it and its modules.
set -eu

needed='
sipp sip-tester
baresip baresip-core
openssl openssl
delv bind9-dnsutils
unbound-host unbound-host
kamailio kamailio kamailio-secsipid-modules
initdb postgresql
'

is_there() {
  command -v "$1" >/dev/null 2>&1 && return 0
  # Debian keeps PostgreSQL's programs where no path leads.
  for found in /usr/lib/postgresql/*/bin/"$1"; do
    [ -x "$found" ] && return 0
  done
  return 1
}

missing=$(printf '%s\n' "$needed" | while read -r program package; do
  [ -z "$program" ] || is_there "$program" || printf '%s ' "$package"
done)
missing=${missing% }
[ -n "$missing" ] || exit 0

packages_command="apt-get install -y --no-install-recommends $missing"
refuse() {
  printf 'The tests need programs that are not installed, and %s. Run as root:\n\n' "$1" >&2
  printf '    apt-get update && %s\n\n' "$packages_command" >&2
  exit 1
}

command -v apt-get >/dev/null 2>&1 || refuse 'this is no Debian (the package names are those of Debian 12)'
if [ "$(id -u)" = 0 ]; then
  as_root=''
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
  as_root='sudo -n'
else
  refuse 'this user may not install them'
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
run() {
  printf 'install-programs: %s\n' "$*"
  # shellcheck disable=SC2086  # empty, or two words
  $as_root env DEBIAN_FRONTEND=noninteractive "$@" >"$log" 2>&1 || {
    tail -n 15 "$log" >&2
    refuse "'$*' failed as above"
  }
}

run apt-get -q update
# shellcheck disable=SC2086  # several packages
run apt-get -q install -y --no-install-recommends $missing
for package in $missing; do
  printf 'install-programs: %s is there\n' "$package"
done
