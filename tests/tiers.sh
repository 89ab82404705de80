#!/usr/bin/env bash
# Runs the tests tier by tier and says how many ran in which. Fails if a tier fails, or runs no test at all.
set -euo pipefail
cd "$(dirname "$0")/.."

logs=target/tiers
mkdir -p "$logs"
failed=0
summary=""

# tier NAME COMMAND...: runs the command, counts what cargo says ran, and remembers a failure for the end.
tier() {
    local name=$1 log="$logs/$1.log" started=$SECONDS verdict=passed
    shift
    echo "== tier $name: $*"
    "$@" 2>&1 | tee "$log" || verdict=FAILED
    local ran ignored
    ran=$(awk '/^test result:/ { n += $4 + $6 } END { print n + 0 }' "$log")
    ignored=$(awk '/^test result:/ { n += $8 } END { print n + 0 }' "$log")
    if [ "$ran" -eq 0 ]; then
        verdict="FAILED (no test ran)"
    fi
    [ "$verdict" = passed ] || failed=1
    summary+=$(printf '%-12s %5d ran %4d ignored %5ds  %s' "$name" "$ran" "$ignored" "$((SECONDS - started))" "$verdict")$'\n'
}

# Every file of tests/ that needs no cluster belongs to the first tier.
unit=(--lib --bins)
for file in tests/*.rs; do
    unit+=(--test "$(basename "$file" .rs)")
done

tier unit cargo test --locked --no-fail-fast "${unit[@]}"
tier integration cargo test --locked --no-fail-fast --test integration

echo
echo "tests by tier:"
printf '%s' "$summary"
exit "$failed"
