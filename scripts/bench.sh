#!/bin/sh
# How long it takes to find out that nothing is to be done, beside a hand-written script, Ansible and Mitogen.
# On hosts of its own, which are ended afterwards.
#   BENCH_ROUNDS=15       how often each is run
#   BENCH_SLOW_ROUNDS=5   in how many of them Ansible runs, too
#   BENCH_ONLY=vmstation,script  nothing else
#   BENCH_DELAYS="0 20 100"  milliseconds that a round trip takes longer; fewer rounds the longer it is
#   BENCH_VENV=DIR        a Python environment with ansible 11; made under target/ if it is not given
#   BENCH_LAB=bench       the name of the lab
#   BENCH_KEEP=1          leave the lab up
set -eu
cd "$(dirname "$0")/.."
sh scripts/tools.sh
cargo build --release --quiet
vmstation="$PWD/target/release/vmstation"
lab=${BENCH_LAB:-bench}

venv=${BENCH_VENV:-$PWD/target/bench-venv}
if ! [ -x "$venv/bin/ansible-playbook" ]; then
    if ! python3 -c 'import ensurepip' 2>/dev/null; then
        [ "$(id -u)" = 0 ] || { echo "install it:  sudo apt-get install -y python3-venv" >&2; exit 1; }
        apt-get update -q
        DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends python3-venv
    fi
    python3 -m venv "$venv"
    # ansible 11 is ansible-core 2.18 with the collections that the role's modules are in.
    "$venv/bin/pip" install --quiet --disable-pip-version-check 'ansible>=11,<12'
fi
# Beside it, so that a given environment stays as it is.
mitogen="$PWD/target/bench-mitogen"
if ! [ -d "$mitogen/ansible_mitogen" ]; then
    "$venv/bin/pip" install --quiet --disable-pip-version-check --target "$mitogen" mitogen ||
        echo "Mitogen could not be installed: left out" >&2
fi

"$vmstation" lab --name "$lab" up >/dev/null
[ -n "${BENCH_KEEP:-}" ] || trap '"$vmstation" lab --name "$lab" down >/dev/null' EXIT
trap 'exit 130' INT TERM
set --
for delay in ${BENCH_DELAYS:-0 20 100}; do
    case $delay in
    0) inventory=$("$vmstation" lab --name "$lab" up 2>/dev/null) ;;
    *) inventory=$("$vmstation" lab --name "$lab" delay "$delay") ;;
    esac
    set -- "$@" "$delay=$inventory"
done
# All of them start inside the lab's network, so that the way there is nobody's cost.
nsenter --net="/run/netns/vmstation-$lab" python3 scripts/bench.py "$vmstation" "$venv" "$mitogen" "$@"
