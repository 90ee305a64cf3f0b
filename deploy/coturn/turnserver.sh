#!/bin/sh
# Starts coturn with a configuration and the secrets of a file (one a line: the newest signs, older ones are still
# taken). They appear on no command line and in no log: coturn reads them from a copy that its own user alone can read.
#
#   RUNTIME_DIRECTORY=… turnserver.sh CONFIGURATION SECRETS [OPTION…]
set -eu
umask 077
composed="${RUNTIME_DIRECTORY:?where the composed configuration is kept}/turnserver.conf"
tables="$RUNTIME_DIRECTORY/turndb"
{
  cat "$1"
  sed -n 's/^..*$/static-auth-secret=&/p' "$2"
} >"$composed"
shift 2

# coturn reads its tables at each log-in, though nothing stands in them. Left to make them itself, its threads do so at
# once, lock each other out and refuse good credentials. turnadmin leaves a log file of its own behind.
rm -f "$tables"
turnadmin --list --userdb="$tables" >/dev/null &
wait $!
rm -f "/var/log/turn_$!_"*.log

exec "${TURNSERVER_PATH:-/usr/bin/turnserver}" -c "$composed" --userdb="$tables" --pidfile= "$@"
