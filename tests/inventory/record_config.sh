#!/bin/sh
# Records what Ansible itself makes of every configuration: expected.json beside each ansible.cfg.
# usage: PYTHON=/path/to/a/python/with/ansible-core-2.18 tests/inventory/record_config.sh
set -eu
cd "$(dirname "$0")/config"
for case in *; do
    (
        cd "$case"
        set -- "HOME=$PWD/home"
        if [ -f environment ]; then
            while read -r line; do set -- "$@" "$line"; done <environment
        fi
        env -i PATH="$PATH" "$@" "${PYTHON:-python3}" ../../record_config.py >expected.json
    )
done
