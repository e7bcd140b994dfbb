#!/bin/sh
# Takes away what the role kubelet wrote, and gives back what was there before. Prints what it did.
set -eu
mark='# Written by vmstation'

# Where the packages come from. The one for apt had no such mark.
ours='^deb \[signed-by=/etc/apt/keyrings/kubernetes\.asc\] '
for file in /etc/apt/sources.list.d/*.list /etc/yum.repos.d/*.repo; do
    [ -e "$file" ] || continue
    grep -q "^$mark" "$file" ||
        { [ "$file" = /etc/apt/sources.list.d/kubernetes.list ] && ! grep -qv "$ours" "$file"; } || continue
    rm "$file"
    echo "removed $file"
done
key=/etc/apt/keyrings/kubernetes.asc
if [ -e "$key" ] && ! grep -qrs "$key" /etc/apt/sources.list /etc/apt/sources.list.d; then
    rm "$key"
    echo "removed $key"
fi

# The role keeps what it writes over; what it wrote over its own is not worth keeping.
file=/etc/containerd/config.toml
if [ -e "$file" ] && grep -q "^$mark" "$file"; then
    rm "$file"
    for kept in "$file".*~; do
        [ -e "$kept" ] || continue
        if [ -e "$file" ] || grep -q "^$mark" "$kept"; then rm "$kept"; else mv "$kept" "$file"; fi
    done
    if [ -e "$file" ]; then echo "put back $file"; else echo "removed $file"; fi
fi
