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
"$vmstation" deploy --lab="$lab"
# Its record, since what is shown is for people. Three hosts end with nothing changed.
if [ "$(tail -n 1 .vmstation/runs/latest/events.jsonl | grep -o '"changed":0,' | wc -l)" -ne 3 ]; then
    echo "the second deploy changed something" >&2
    exit 1
fi
echo
echo "Nothing changed the second time."
