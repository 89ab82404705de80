#!/usr/bin/env bash
# Builds what the demo needs, the control plane (Go) and the operator (Rust) side by side, and says how far they are.
set -euo pipefail
cd "$(dirname "$0")/../.."

for tool in cargo go git gcc; do
    command -v "$tool" > /dev/null || { echo "the demo needs '$tool', which is not on the PATH" >&2; exit 1; }
done

logs=target/demo
mkdir -p "$logs"
nice -n 5 tests/cluster/build.sh > "$logs/build-cluster.log" 2>&1 &
cluster=$!
cargo build --locked --bin pai-notification --example demo > "$logs/build-operator.log" 2>&1 &
operator=$!
trap 'kill "$cluster" "$operator" 2> /dev/null || true' INT TERM

last() { tail -n 1 "$1" | tr -d '\r' | cut -c 1-90; }

waited=0
while kill -0 "$cluster" 2> /dev/null || kill -0 "$operator" 2> /dev/null; do
    sleep 0.5
    waited=$((waited + 1))
    if [ $((waited % 30)) -eq 0 ]; then
        printf '[%4ds] building' "$SECONDS"
        kill -0 "$cluster" 2> /dev/null && printf ' | cluster: %s' "$(last "$logs/build-cluster.log")"
        kill -0 "$operator" 2> /dev/null && printf ' | operator: %s' "$(last "$logs/build-operator.log")"
        echo
    fi
done

failed=0
finish() { # finish NAME PID LOG
    if ! wait "$2"; then
        echo "building the $1 failed; the end of $3:" >&2
        tail -n 30 "$3" >&2
        failed=1
    fi
}
finish "control plane" "$cluster" "$logs/build-cluster.log"
finish operator "$operator" "$logs/build-operator.log"
[ "$failed" -eq 0 ] && printf '[%4ds] built\n' "$SECONDS"
exit "$failed"
