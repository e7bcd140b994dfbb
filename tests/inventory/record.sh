#!/bin/sh
# Records what Ansible itself makes of every case: expected.json beside each case.json.
# usage: PYTHON=/path/to/a/python/with/ansible-core-2.18 tests/inventory/record.sh [CASE…]
set -eu
cd "$(dirname "$0")/cases"
[ $# -gt 0 ] || set -- *
for case in "$@"; do
    (cd "$case" && ANSIBLE_CONFIG=../../defaults.cfg "${PYTHON:-python3}" ../../record.py >expected.json)
done
