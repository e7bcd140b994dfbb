#!/bin/sh
# Removes the rules of kube-proxy, the CNI and flannel from both backends of iptables, and prints where there were any.
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin

clean() { # PROGRAM
    rules=$("$1-save" 2>/dev/null) || return 0
    printf '%s\n' "$rules" | grep -Eq 'KUBE-|CNI-|FLANNEL' || return 0
    printf '%s\n' "$rules" | grep -Ev 'KUBE-|CNI-|FLANNEL' | "$1-restore"
    echo "$1"
}

for family in ip ip6; do
    known=
    for backend in nft legacy; do
        command -v "${family}tables-$backend-save" >/dev/null || continue
        known=yes
        # To ask legacy for rules would load it; the kernel says which tables it has (a file there has no size).
        [ "$backend" = nft ] || grep -qs . "/proc/net/${family}_tables_names" || continue
        clean "${family}tables-$backend"
    done
    if [ -z "$known" ] && command -v "${family}tables-save" >/dev/null; then
        clean "${family}tables"
    fi
done
