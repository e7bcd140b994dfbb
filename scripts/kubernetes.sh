#!/bin/sh
# What needs an API server: the modules' cases on it, the lab's Kubernetes, and the cluster's life by the playbooks. The
# first run builds Kubernetes. Ends with the count.
set -eu
cd "$(dirname "$0")/.."
. scripts/suite.sh
sh scripts/tools.sh
sh scripts/go.sh
make_lab cases --kubernetes

all_of_it() {
    attempt env VMSTATION_LAB=1 VMSTATION_LAB_NAME="$lab" \
        cargo test --no-fail-fast --test cases on_a_cluster -- --ignored
    end_lab
    # One after another: each has a lab of its own.
    attempt cargo test --no-fail-fast --test kubernetes --test cluster -- --ignored --test-threads 1
}

counted all_of_it
