#!/bin/sh
# Ends the programs of one local cluster and removes its data. Usage: stop.sh DATA_DIR RUN_DIR
#
# RUN_DIR holds one <program>.pid per program. A pid counts only while its command line names DATA_DIR, so that
# a number which the system has given to somebody else meanwhile is left alone.
data=$1
run=$2
[ -n "$data" ] && [ -n "$run" ] || exit 2

pid_of() { # program: prints its pid if it still runs
  pid=$(cat "$run/$1.pid" 2>/dev/null) && [ -e "/proc/$pid" ] || return 1
  { tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -qF -- "$data/" || return 1
  echo "$pid"
}

gone() { # pids: has every one of them ended?
  for pid in "$@"; do
    [ -e "/proc/$pid" ] && ! grep -q '^State:.*zombie' "/proc/$pid/status" 2>/dev/null && return 1
  done
  return 0
}

end() { # tenths of a second to wait, programs
  left=$1
  shift
  pids=
  for program in "$@"; do
    pid=$(pid_of "$program") && kill -TERM "$pid" && pids="$pids $pid"
  done
  # shellcheck disable=SC2086 # a list of numbers
  while ! gone $pids; do
    [ "$left" -eq 0 ] && kill -KILL $pids 2>/dev/null
    sleep 0.1
    left=$((left - 1))
  done
}

end 50 kwok kube-scheduler kube-controller-manager kube-apiserver
end 20 etcd
rm -rf "$data" "$run"
