#!/bin/sh
# Builds the smoke run's program, and vmstation with it; says where it is. Once built it runs without cargo, which may be
# busy meanwhile.
set -eu
cd "$(dirname "$0")/.."
cargo test --quiet --test smoke --no-run >&2
program=$(cargo test --test smoke --no-run --message-format=json 2>/dev/null |
    sed -n 's/.*"name":"smoke".*"executable":"\([^"]*\)".*/\1/p')
[ -x "$program" ] || {
    echo "cargo does not say where the smoke run's program is" >&2
    exit 1
}
echo "$program"
