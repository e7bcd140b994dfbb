#!/bin/sh
# Runs every test: those of this machine, those on the lab's throwaway hosts, and the modules' cases on a real API server
# where its programs are kept from an earlier run. Ends with the count; what is skipped needs an API server (make
# kubernetes), virtual machines (make smoke), or another program beside ours.
set -eu
cd "$(dirname "$0")/.."
. scripts/suite.sh
sh scripts/tools.sh
make build-tests
make_lab ci

# Building Kubernetes would take longer than all tests together.
kubernetes_is_kept() {
    for dir in /var/lib/vmstation/lab/kubernetes/*; do
        if cmp -s "$dir/build.sh" src/lab/kubernetes/build.sh && cmp -s "$dir/go.sum" src/lab/kubernetes/go.sum; then
            return 0
        fi
    done
    return 1
}

on_an_api_server() {
    if ! kubernetes_is_kept; then
        echo "Not run: the modules' cases on an API server. No build of Kubernetes is kept here; make kubernetes makes one."
        return
    fi
    end_lab
    attempt "$vmstation" lab --name "$lab" up --kubernetes
    attempt cargo test --no-fail-fast --test cases on_a_cluster -- --ignored
}

# Tests that take processors and nothing else: they get what the others leave.
BY_THE_WAY='random_programs host::stress::'

others() {
    skips=
    for name in $BY_THE_WAY; do skips="$skips --skip $name"; done
    # shellcheck disable=SC2086
    attempt cargo test --no-fail-fast -- $skips
}

every_test() {
    export VMSTATION_LAB=1 VMSTATION_LAB_NAME="$lab"
    told=$(mktemp)
    trap 'rm -f "$told"' EXIT
    # What a script starts in the background does not hear Ctrl-C, unless told otherwise.
    # shellcheck disable=SC2086
    env --default-signal=INT VMSTATION_FUZZ=10000 \
        nice -n 19 cargo test --no-fail-fast --lib --test ahead -- $BY_THE_WAY >"$told" 2>&1 &
    by_the_way=$!
    others
    # The tests that speak to the lab's hosts themselves run inside its network.
    attempt nsenter --net="/run/netns/vmstation-$lab" env VMSTATION_INSIDE_LAB="$lab" \
        cargo test --no-fail-fast --test session_lab --test traces
    status=0
    wait "$by_the_way" || status=$?
    cat "$told"
    [ "$status" = 0 ] || echo "error: exit $status"
    on_an_api_server
}

counted every_test
