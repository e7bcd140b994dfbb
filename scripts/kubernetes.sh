#!/bin/sh
# What needs an API server: the modules' cases on it, the lab's Kubernetes, and the cluster's life by the playbooks. The
# first run builds Kubernetes. Ends with the count.
set -eu
cd "$(dirname "$0")/.."
sh scripts/tools.sh
sh scripts/go.sh
cargo build --quiet
lab=cases-$$
vmstation="$PWD/target/debug/vmstation"
down() {
    "$vmstation" lab --name "$lab" down >/dev/null 2>&1 || true
}
trap down EXIT
trap 'exit 130' INT TERM
"$vmstation" lab --name "$lab" up --kubernetes >/dev/null

out=$(mktemp)
{
    VMSTATION_LAB=1 VMSTATION_LAB_NAME="$lab" cargo test --no-fail-fast --test cases on_a_cluster -- --ignored 2>&1 ||
        echo "error: exit $?"
    down
    # One after another: each has a lab of its own.
    cargo test --no-fail-fast --test kubernetes --test cluster -- --ignored --test-threads 1 2>&1 || echo "error: exit $?"
} | tee "$out"
status=0
grep -q '^test result: FAILED' "$out" && status=1
grep -q '^error' "$out" && status=1
awk '/^test result:/ { passed += $4; failed += $6 } END { printf "%d passed, %d failed\n", passed, failed }' "$out"
rm -f "$out"
exit "$status"
