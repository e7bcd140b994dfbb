#!/bin/sh
# Runs every test: those of this machine, and those on the lab's throwaway hosts. Ends with the count; what is skipped
# needs an API server (make kubernetes), virtual machines (make smoke), or another program beside ours.
set -eu
cd "$(dirname "$0")/.."
sh scripts/tools.sh
cargo fmt --check
cargo clippy --quiet --all-targets -- -D warnings
cargo build --quiet

lab=ci-$$
vmstation="$PWD/target/debug/vmstation"
down() {
    "$vmstation" lab --name "$lab" down >/dev/null 2>&1 || true
}
trap down EXIT
trap 'exit 130' INT TERM
"$vmstation" lab --name "$lab" up >/dev/null

out=$(mktemp)
{
    VMSTATION_FUZZ=10000 VMSTATION_LAB=1 VMSTATION_LAB_NAME="$lab" cargo test --no-fail-fast 2>&1 || echo "error: exit $?"
    # The tests that speak to the lab's hosts themselves run inside its network.
    nsenter --net="/run/netns/vmstation-$lab" env VMSTATION_INSIDE_LAB="$lab" VMSTATION_LAB_NAME="$lab" \
        cargo test --no-fail-fast --test session_lab --test traces 2>&1 ||
        echo "error: exit $?"
} | tee "$out"
status=0
grep -q '^test result: FAILED' "$out" && status=1
grep -q '^error' "$out" && status=1
awk '/^test result:/ { passed += $4; failed += $6; skipped += $8 }
     END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }' "$out"
rm -f "$out"
exit "$status"
