#!/bin/sh
# Runs a script, given on stdin, inside a root: no network, its own processes, and
# mounts that are gone when it ends, however it ends.
#
#   enter.sh ROOT <SCRIPT
exec unshare --mount --net --pid --fork --kill-child sh -c '
    mount -t proc proc "$1/proc" &&
    mount -t tmpfs tmpfs "$1/tmp" &&
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$1/dev/pts" &&
    exec chroot "$1" /bin/sh -s
' sh "$1"
