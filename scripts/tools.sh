#!/bin/sh
# Installs what the tests and the lab need on a Debian 12 machine. Needs root; does nothing when all is there.
set -eu
missing=
need() {
    command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing="$missing $2"
}
need cc gcc
need make make
need mmdebstrap mmdebstrap
need systemd-nspawn systemd-container
need apt-ftparchive apt-utils
need ip iproute2
need nsenter util-linux
need qemu-system-x86_64 qemu-system-x86
need qemu-img qemu-utils
need mkfs.ext4 e2fsprogs
need sshd openssh-server
need ssh openssh-client
need sudo sudo
need busybox busybox
need openssl openssl
need file file
need script bsdutils
need setpriv util-linux
need zsh zsh
need fish fish
need tcsh tcsh
need bsd-csh csh
need mksh mksh
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
    echo "these packages are missing:$missing" >&2
    echo "install them:  sudo apt-get install -y$missing" >&2
    exit 1
fi
apt-get update -q
# A new sshd must not begin to listen on this machine: the tests start their own.
if ! [ -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
