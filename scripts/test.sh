#!/bin/sh
# Runs every test: those of this machine, those on the lab's throwaway hosts, and the modules' cases on a real API server
# where its programs are kept from an earlier run. Ends with the count; what is skipped needs an API server (make
# kubernetes), virtual machines (make smoke), or another program beside ours.
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
# Building Kubernetes would take longer than all tests together.
kubernetes_is_kept() {
    for dir in /var/lib/vmstation/lab/kubernetes/*; do
        if cmp -s "$dir/build.sh" src/lab/kubernetes/build.sh && cmp -s "$dir/go.sum" src/lab/kubernetes/go.sum; then
            return 0
        fi
    done
    return 1
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
    down
    if kubernetes_is_kept; then
        "$vmstation" lab --name "$lab" up --kubernetes >/dev/null || echo "error: exit $?"
        VMSTATION_LAB=1 VMSTATION_LAB_NAME="$lab" cargo test --no-fail-fast --test cases on_a_cluster -- --ignored 2>&1 ||
            echo "error: exit $?"
    else
        echo "Not run: the modules' cases on an API server. No build of Kubernetes is kept here; make kubernetes makes one."
    fi
} | tee "$out"
status=0
grep -q '^test result: FAILED' "$out" && status=1
grep -q '^error' "$out" && status=1
awk '/^test result:/ { passed += $4; failed += $6; skipped += $8 }
     END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }' "$out"
rm -f "$out"
exit "$status"
