#!/bin/sh
# Fetches everything that the lab's root file systems are made of, from the
# mirrors that this machine's own apt uses. The only step that needs a network.
#
#   fetch.sh DIR     DIR/sources holds apt's deb822 sources
#                    leaves DIR/debian (a root), DIR/debs and DIR/rhel-debs
set -eu
dir=$1

# What a Debian 12 host has from the start.
base=systemd,systemd-sysv,dbus,openssh-server,sudo,udev,netbase
base=$base,iproute2,iputils-ping,kmod,procps,mount,util-linux,login,passwd
base=$base,e2fsprogs,iptables,nftables,ufw,cron,logrotate,less,nano
base=$base,ca-certificates,apt-utils,python3,python3-apt

# What a playbook may want to install on it. The second line is there already,
# and listed so that it can be removed and installed again.
debs='conntrack socat ipvsadm ipset ethtool ebtables arptables chrony curl gnupg
jq rsync nfs-common nfs-kernel-server containerd runc apt-transport-https tree
sshfs unzip zip bzip2 xz-utils acl bridge-utils open-iscsi xfsprogs bash-completion lsof
tcpdump htop busybox wget vim-tiny'
again='iptables nftables ufw cron less nano logrotate libip4tc2 libip6tc2
libxtables12 libnfnetlink0 libnetfilter-conntrack3 libnftnl11 libnftables1
libmnl0 libjansson4 sensible-utils'

# What turns a copy of the Debian root into the RHEL look-alike.
rhel='curl gawk dnf dnf-plugins-core rpm createrepo-c firewalld network-manager
systemd-oomd selinux-utils python3-rpm python3-selinux'

download='apt-get -y --no-install-recommends --download-only -o Dir::Cache::archives=/srv/pool'
keep() {
    printf '%s' "mv \"\$1/srv/pool\" '$1'; rm -rf '$1/partial' '$1/lock'"
}

# The proxy that this machine's apt goes through, if any; the hosts never see it.
set --
for scheme in http https; do
    proxy=
    eval "$(apt-config shell proxy "Acquire::$scheme::Proxy")"
    [ -z "$proxy" ] || set -- "$@" --aptopt="Acquire::$scheme::Proxy \"$proxy\""
done

rm -rf "$dir/debian" "$dir/debs" "$dir/rhel-debs"
mmdebstrap "$@" --quiet --variant=minbase --format=dir --include="$base" \
    --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='mkdir -p "$1/srv/pool"' \
    --customize-hook="chroot \"\$1\" $download install $(echo $debs) >/dev/null" \
    --customize-hook="chroot \"\$1\" $download --reinstall install $(echo $again) >/dev/null" \
    --customize-hook="$(keep "$dir/debs")" \
    --customize-hook='mkdir -p "$1/srv/pool"' \
    --customize-hook="chroot \"\$1\" $download install $(echo $rhel) >/dev/null" \
    --customize-hook="$(keep "$dir/rhel-debs")" \
    bookworm "$dir/debian" "$dir/sources"
