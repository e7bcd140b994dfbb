#!/bin/sh
# How long a deploy of Kubernetes tasks takes where nothing is to be done, beside ansible-playbook with
# kubernetes.core: the same playbook, interleaved, in a lab with a real API server. Ended afterwards.
#   BENCH_ROUNDS=9        how often each is run
#   BENCH_VENV=DIR        a Python environment with ansible 11; that of scripts/bench.sh if it is not given
#   BENCH_LAB=bench       the name of the lab
#   BENCH_KEEP=1          leave the lab up
set -eu
cd "$(dirname "$0")/.."
vmstation=${BENCH_PROGRAM:-$PWD/target/release/vmstation}
[ -x "$vmstation" ] || cargo build --release --quiet
lab=${BENCH_LAB:-bench}
venv=${BENCH_VENV:-$PWD/target/bench-venv}
if ! [ -x "$venv/bin/ansible-playbook" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check 'ansible>=11,<12'
fi
# Beside it, so that a given environment stays as it is.
modules="$PWD/target/kubernetes-python"
if ! [ -d "$modules/kubernetes" ]; then
    "$venv/bin/pip" install --quiet --disable-pip-version-check --target "$modules" 'kubernetes<32'
fi
"$vmstation" lab --name "$lab" up --kubernetes >/dev/null
[ -n "${BENCH_KEEP:-}" ] || trap '"$vmstation" lab --name "$lab" down >/dev/null' EXIT
trap 'exit 130' INT TERM
PYTHONPATH="$modules" PATH="/run/vmstation/$lab/bin:$PATH" nsenter --net="/run/netns/vmstation-$lab" \
    python3 scripts/bench-kubernetes.py "$vmstation" "$venv" "/run/vmstation/$lab"
