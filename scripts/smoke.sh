#!/bin/sh
# The nodes' playbooks on three virtual machines: builds, boots, preflight, deploy, again, a restart of all nodes, again,
# what goes wrong on the way, reset. What was said is kept in target/smoke (VMSTATION_SMOKE_DIR).
set -eu
cd "$(dirname "$0")/.."
VMSTATION_SMOKE_DIR=${VMSTATION_SMOKE_DIR:-$PWD/target/smoke}
export VMSTATION_SMOKE_DIR
rm -rf "$VMSTATION_SMOKE_DIR"
mkdir -p "$VMSTATION_SMOKE_DIR"
began=$(date +%s)
told() {
    now=$(date +%s)
    echo "$* ($((now - began)) s)" | tee -a "$VMSTATION_SMOKE_DIR/times.txt"
    began=$now
}

sh scripts/tools.sh
told tools
cargo build --quiet
cargo test --quiet --test smoke --no-run
told build
status=0
cargo test --quiet --test smoke -- --ignored --nocapture || status=$?
told run
echo "artefacts: $VMSTATION_SMOKE_DIR"
exit "$status"
