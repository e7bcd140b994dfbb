#!/bin/sh
# The nodes' playbooks on three virtual machines: builds, boots, preflight, deploy, again, a restart of all nodes, again,
# what goes wrong on the way, reset. What was said is kept in target/smoke (VMSTATION_SMOKE_DIR), also when somebody stops
# it; the machines are not.
# VMSTATION_SMOKE_MEANWHILE is a command that runs beside it: machines mostly wait. What it says comes last, and its failure
# is a failure of this.
set -eu
cd "$(dirname "$0")/.."
VMSTATION_SMOKE_DIR=${VMSTATION_SMOKE_DIR:-$PWD/target/smoke}
VMSTATION_SMOKE_NAME=smoke$$
export VMSTATION_SMOKE_DIR VMSTATION_SMOKE_NAME
mkdir -p "$VMSTATION_SMOKE_DIR"
# Of the run before; nothing else that may be there.
(
    cd "$VMSTATION_SMOKE_DIR"
    for name in *.jsonl; do rm -f "$name" "${name%.jsonl}.log" "${name%.jsonl}.xml"; done
    rm -f smoke.xml stages.md times.txt boot.log meanwhile.log no-kvm.txt console-*.log qemu-*.log journal-*.log
)
began=$(date +%s)
told() {
    now=$(date +%s)
    echo "$* ($((now - began)) s)" | tee -a "$VMSTATION_SMOKE_DIR/times.txt"
    began=$now
}

# What runs, each in a process group of its own.
running= meanwhile=
end_group() {
    [ -n "$1" ] || return 0
    kill -TERM "-$1" 2>/dev/null || true
    # It may have a lab to end.
    for _ in $(seq 60); do
        kill -0 "-$1" 2>/dev/null || return 0
        sleep 0.5
    done
    kill -KILL "-$1" 2>/dev/null || true
}
finish() {
    trap - EXIT INT TERM
    end_group "$running"
    end_group "$meanwhile"
    state=/run/vmstation/$VMSTATION_SMOKE_NAME
    if [ -e "$state" ]; then
        for host in "$state"/hosts/*; do
            for kind in console qemu; do
                cp "$host/$kind.log" "$VMSTATION_SMOKE_DIR/$kind-${host##*/}.log" 2>/dev/null || true
            done
        done
    fi
    if [ -e "$state" ] || [ -e "$state.lock" ]; then
        target/debug/vmstation lab --name "$VMSTATION_SMOKE_NAME" down || true
    fi
}
trap finish EXIT
trap 'finish; exit 130' INT
trap 'finish; exit 143' TERM

sh scripts/tools.sh
told tools
smoke=$(sh scripts/smoke-program.sh)
told build
status=0
# In the background, so that a signal need not wait for its end.
setsid "$smoke" --ignored --nocapture &
running=$!
if [ -n "${VMSTATION_SMOKE_MEANWHILE:-}" ]; then
    setsid env -u VMSTATION_SMOKE_DIR -u VMSTATION_SMOKE_NAME -u VMSTATION_SMOKE_MEANWHILE \
        sh -c "$VMSTATION_SMOKE_MEANWHILE" >"$VMSTATION_SMOKE_DIR/meanwhile.log" 2>&1 &
    meanwhile=$!
fi
wait "$running" || status=$?
running=
told run
echo "artefacts: $VMSTATION_SMOKE_DIR"
if [ -n "$meanwhile" ]; then
    wait "$meanwhile" || status=$?
    meanwhile=
    told meanwhile
    cat "$VMSTATION_SMOKE_DIR/meanwhile.log"
fi
exit "$status"
