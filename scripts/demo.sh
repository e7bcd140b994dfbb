#!/bin/sh
# The main job on throwaway hosts: make them, deploy, deploy again, and see that the second time nothing changes.
set -eu
cd "$(dirname "$0")/.."
sh scripts/tools.sh
cargo build --release --quiet
vmstation="$PWD/target/release/vmstation"
lab=demo
"$vmstation" lab --name "$lab" up
trap '"$vmstation" lab --name "$lab" down' EXIT
trap 'exit 130' INT TERM

echo
echo "== vmstation deploy"
"$vmstation" deploy --lab="$lab"

echo
echo "== vmstation deploy, again"
out=$(mktemp)
"$vmstation" deploy --lab="$lab" | tee "$out"
if grep -Eq 'changed [1-9]' "$out"; then
    rm -f "$out"
    echo "the second deploy changed something" >&2
    exit 1
fi
rm -f "$out"
echo
echo "Nothing changed the second time."
