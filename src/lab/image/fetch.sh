#!/bin/sh
# Fetches what a root of the lab lacks to be a machine of its own: a kernel with its
# modules, and what makes an initial RAM disk. Needs a network.
#
#   fetch.sh DIR ROOT     DIR/sources holds apt's deb822 sources, ROOT is the Debian root
#                         leaves DIR/debs and DIR/settings
set -eu
dir=$1 root=$2
mkdir -p "$dir/apt/parts" "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial"
cp "$dir/sources" "$dir/apt/parts/lab.sources"

# This machine's own apt, about that root's packages.
get() {
    apt-get -qq -o APT::Sandbox::User=root -o Acquire::Languages=none \
        -o Dir::State::Lists="$dir/apt/lists" -o Dir::Cache="$dir/apt/cache" \
        -o Dir::State::status="$root/var/lib/dpkg/status" \
        -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$dir/apt/parts" "$@"
}
get update
get -y --no-install-recommends --download-only install \
    "linux-image-cloud-$(dpkg --print-architecture)" initramfs-tools busybox >/dev/null
mv "$dir/apt/cache/archives" "$dir/debs"
rm -rf "$dir/debs/partial" "$dir/debs/lock"

# The kernel settings that Debian brings along; a container of the lab may not have them.
mkdir -p "$dir/apt/others" "$dir/settings"
(cd "$dir/apt/others" && get download systemd procps)
for deb in "$dir/apt/others"/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -C "$dir/settings" --wildcards -xf - './usr/lib/sysctl.d/*'
done
rm -rf "$dir/apt"
