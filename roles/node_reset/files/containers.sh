#!/bin/sh
# Removes what containerd has of Kubernetes, and nothing of Docker's (moby) or others'. Prints what there was.
set -eu
PATH=$PATH:/usr/local/sbin:/usr/sbin:/usr/local/bin
command -v ctr >/dev/null || exit 0
# One that does not run has nothing that runs, and nobody to ask.
spaces=$(ctr namespaces ls -q 2>/dev/null) || exit 0
printf '%s\n' "$spaces" | grep -qx k8s.io || exit 0

k8s() {
    ctr -n k8s.io "$@" 2>/dev/null
}

# containerd may make the namespace itself when it starts: an empty one is nothing that was removed.
there() {
    k8s tasks ls -q
    k8s containers ls -q
    k8s images ls -q
}

there=$(there) || exit 0
k8s tasks ls -q | xargs -r -n 1 ctr -n k8s.io tasks rm --force >/dev/null 2>&1 || true
k8s containers ls -q | xargs -r ctr -n k8s.io containers rm >/dev/null 2>&1 || true
# What belongs to an image goes with it, and is waited for.
k8s images ls -q | xargs -r ctr -n k8s.io images rm --sync >/dev/null 2>&1 || true
k8s leases ls -q | xargs -r ctr -n k8s.io leases rm --sync >/dev/null 2>&1 || true
left=$(there) || left=
if [ -n "$left" ]; then
    printf 'containerd does not let go of this in its namespace k8s.io:\n%s\n' "$left" >&2
    exit 1
fi
# Snapshots may take another moment; an empty namespace is nobody's trouble.
ctr namespaces rm k8s.io >/dev/null 2>&1 || true
printf '%s' "$there"
