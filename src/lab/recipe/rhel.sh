#!/bin/sh
# Makes a RHEL 10 look-alike of a copy of the finished Debian root. Runs inside
# the root, without a network; /srv/rhel-debs holds what is added, /srv/debs what
# the payloads of some RPMs come from, /srv/alternatives the stand-in for RHEL's.
set -eu
export DEBIAN_FRONTEND=noninteractive
arch=$(uname -m)
stage=/tmp/stage lists=/tmp/lists spec=/tmp/lab.spec
mkdir -p $stage $lists

# quiet COMMAND…: its output only if it fails.
quiet() {
    "$@" >/tmp/quiet.log 2>&1 || { cat /tmp/quiet.log >&2; exit 1; }
}

apt-get -qq -y purge ufw iptables sample >/dev/null
(cd /srv/rhel-debs && apt-ftparchive packages . >Packages 2>/dev/null)
echo 'deb [trusted=yes] file:/srv/rhel-debs ./' >/etc/apt/sources.list
quiet apt-get update
quiet apt-get -y -o DPkg::Options::=--force-unsafe-io --no-install-recommends install \
    $(sed -n 's/^Package: //p' /srv/rhel-debs/Packages)

# --- RPMs -------------------------------------------------------------------
cat >$spec <<EOF
%global debug_package %{nil}
%global __os_install_post %{nil}
%global _build_id_links none
%global _empty_manifest_terminate_build 0
%global _binary_payload w1.gzdio
Name: lab
Version: 1
Release: 1
Summary: packages of the lab
License: none
%description
Packages of the lab.
%install
cp -a $stage/*/. %{buildroot}/
EOF

# package NAME VERSION-RELEASE [LINES…]: the spec lines of one package, whose
# files are those below $stage/NAME.
package() {
    name=$1 version=${2%-*} release=${2##*-}; shift 2
    mkdir -p $stage/$name
    (cd $stage/$name && find . ! -type d | sed 's/^\.//' |
        sed -e 's,^/etc/,%config(noreplace) /etc/,') >$lists/$name
    {
        echo "%package -n $name"
        echo "Version: $version"
        echo "Release: $release.el10"
        echo "Summary: $name"
        echo "AutoReqProv: no"
        for line; do echo "$line"; done
        echo "%description -n $name"
        echo "$name"
        echo "%files -n $name -f $lists/$name"
    } >>$spec
}

# payload NAME DEB…: takes the files of Debian packages for the RPM called NAME.
payload() {
    to=$stage/$1; shift
    mkdir -p $to
    for deb; do
        dpkg-deb -x "$(ls /srv/debs/${deb}_*.deb /srv/debs-kubernetes/${deb}_*.deb /srv/rhel-debs/${deb}_*.deb 2>/dev/null | head -n 1)" $to
    done
    for dir in bin sbin lib; do
        [ -d $to/$dir ] || continue
        mkdir -p $to/usr/$dir; cp -a $to/$dir/. $to/usr/$dir/; rm -rf ${to:?}/$dir
    done
    rm -rf $to/usr/share/doc $to/usr/share/man $to/usr/share/locale \
        $to/usr/share/lintian $to/usr/share/bug $to/etc/init.d $to/etc/default
}

unit() { # unit NAME FILE DESCRIPTION COMMAND
    mkdir -p $stage/$1/usr/lib/systemd/system
    cat >$stage/$1/usr/lib/systemd/system/$2 <<EOF
[Unit]
Description=$3
[Service]
ExecStart=$4
[Install]
WantedBy=multi-user.target
EOF
}

# What the rpmdb of a fresh host knows, with RHEL 10's versions. The files are
# there already; only the names are entered.
base="setup:2.14.5-4 filesystem:3.18-16 basesystem:11-22 glibc:2.39-37
glibc-common:2.39-37 coreutils:9.5-6 systemd:257-9 systemd-libs:257-9
systemd-udev:257-9 sudo:1.9.15-8.p5 openssh:9.9p1-7 openssh-clients:9.9p1-7
util-linux:2.40.2-10 util-linux-core:2.40.2-10 iproute:6.11.0-1
procps-ng:4.0.4-7 kmod:31-11 shadow-utils:4.15.0-5 grep:3.11-10 sed:4.9-3
gawk:5.3.0-6 tar:1.35-7 gzip:1.13-3 xz:5.6.2-4 findutils:4.10.0-5
diffutils:3.10-8 hostname:3.23-13 less:661-3 which:2.21-44 curl:8.9.1-5
python3:3.12.9-1 python3-libs:3.12.9-1 dnf:4.20.0-9 python3-dnf:4.20.0-9
dnf-data:4.20.0-9 dnf-plugins-core:4.7.0-8 libdnf:0.73.1-9 rpm:4.19.1.1-12
rpm-libs:4.19.1.1-12 python3-rpm:4.19.1.1-12 ca-certificates:2024.2.69-102
crypto-policies:20250214-1 selinux-policy:40.13.26-1
selinux-policy-targeted:40.13.26-1 libselinux:3.8-1 libselinux-utils:3.8-1
python3-libselinux:3.8-1 policycoreutils:3.8-1 kernel:6.12.0-55.9.1
kernel-core:6.12.0-55.9.1 kernel-modules:6.12.0-55.9.1
kernel-modules-core:6.12.0-55.9.1 dbus:1.14.10-5 dbus-broker:36-2 polkit:125-1
cronie:1.7.0-12 logrotate:3.22.0-4 e2fsprogs:1.47.1-3 iputils:20240905-2
nano:8.1-3 passwd:0.80-16 pam:1.6.1-7 libnftnl:1.2.8-2 nftables:1.1.1-3
iptables-libs:1.8.11-8"
package bash 5.2.26-6 'Provides: /bin/sh' 'Provides: /usr/bin/sh' \
    'Provides: /bin/bash' 'Provides: /usr/bin/bash'
package redhat-release 10.0-30 'Provides: system-release = 10.0' \
    'Provides: system-release(releasever) = 10' 'Provides: redhat-release-eula'
for entry in $base; do package ${entry%%:*} ${entry#*:}; done
justdb="bash redhat-release $(echo "$base" | sed 's/:[^ ]*//g')"

# Installed as packages with their files.
mkdir -p $stage/alternatives/usr/sbin
cp /srv/alternatives $stage/alternatives/usr/sbin/alternatives
chmod 755 $stage/alternatives/usr/sbin/alternatives
ln -s alternatives $stage/alternatives/usr/sbin/update-alternatives
package alternatives 1.30-2 'Provides: chkconfig = 1.30'

unit openssh-server sshd.service 'OpenSSH server daemon' '/usr/sbin/sshd -D'
cat >$stage/openssh-server/usr/lib/systemd/system/sshd.service <<'EOF'
[Unit]
Description=OpenSSH server daemon
After=network.target
[Service]
Type=notify
RuntimeDirectory=sshd
RuntimeDirectoryMode=0755
ExecStart=/usr/sbin/sshd -D
ExecReload=/bin/kill -HUP $MAINPID
KillMode=process
Restart=on-failure
RestartSec=42s
[Install]
WantedBy=multi-user.target
EOF
package openssh-server 9.9p1-7 'Requires: openssh'

payload firewalld firewalld python3-firewall
package firewalld 2.3.0-4 'Requires: nftables'
payload NetworkManager network-manager
rm -f /etc/NetworkManager/NetworkManager.conf
rm -f /etc/NetworkManager/dispatcher.d/01-ifupdown $stage/NetworkManager/etc/NetworkManager/dispatcher.d/01-ifupdown
mkdir -p $stage/NetworkManager/etc/NetworkManager/conf.d
printf '# Configuration file for NetworkManager.\n[main]\n\n[logging]\n' \
    >$stage/NetworkManager/etc/NetworkManager/NetworkManager.conf
package NetworkManager 1.52.0-3
payload systemd-oomd systemd-oomd
package systemd-oomd 257-9 'Requires: systemd'
installed='alternatives openssh-server firewalld NetworkManager systemd-oomd'

# To be installed by playbooks.
payload iptables-nft iptables
rm -f $stage/iptables-nft/usr/sbin/*legacy* $stage/iptables-nft/usr/bin/iptables-xml
find $stage/iptables-nft/usr/sbin -type l ! -name '*-nft*' ! -name 'xtables-*' -delete
{
    package iptables-nft 1.8.11-8 'Requires: iptables-libs' 'Requires: /bin/sh' \
        'Requires(post): alternatives' 'Requires(postun): alternatives' \
        'Provides: iptables = 1.8.11-8.el10'
    cat >>$spec <<'EOF'
%post -n iptables-nft
pfx=/usr/sbin/iptables
pfx6=/usr/sbin/ip6tables
alternatives --install $pfx iptables $pfx-nft 10 \
    --follower $pfx6 ip6tables $pfx6-nft \
    --follower $pfx-restore iptables-restore $pfx-nft-restore \
    --follower $pfx-save iptables-save $pfx-nft-save \
    --follower $pfx6-restore ip6tables-restore $pfx6-nft-restore \
    --follower $pfx6-save ip6tables-save $pfx6-nft-save
%postun -n iptables-nft
if [ $1 -eq 0 ]; then alternatives --remove iptables /usr/sbin/iptables-nft; fi
EOF
}
for family in iptables ip6tables; do
    unit iptables-nft-services $family.service "IPv4 or IPv6 firewall with $family" \
        "/usr/sbin/$family-nft-restore /etc/sysconfig/$family"
    sed -i 's/^ExecStart/Type=oneshot\nRemainAfterExit=yes\nExecStart/' \
        $stage/iptables-nft-services/usr/lib/systemd/system/$family.service
    mkdir -p $stage/iptables-nft-services/etc/sysconfig
    printf '*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n' \
        >$stage/iptables-nft-services/etc/sysconfig/$family
done
package iptables-nft-services 1.8.11-8 'Requires: iptables-nft' \
    'Provides: iptables-services = 1.8.11-8.el10'
payload conntrack-tools conntrack
package conntrack-tools 1.4.8-3
for name in socat ethtool ipvsadm jq tree rsync arptables; do
    payload $name $name
    version=$(dpkg-deb -f /srv/debs/${name}_*.deb Version | sed 's/^[0-9]*://; s/[+~-].*//')
    package $name $version-1
done
payload ipset ipset libipset13
package ipset 7.21-6
payload ebtables-nft ebtables
package ebtables-nft 1.8.11-8 'Provides: ebtables'
payload nfs-utils nfs-common libnfsidmap1 keyutils
package nfs-utils 2.8.2-3
payload chrony chrony
mv $stage/chrony/usr/lib/systemd/system/chrony.service \
    $stage/chrony/usr/lib/systemd/system/chronyd.service
sed -i '/^Alias=/d' $stage/chrony/usr/lib/systemd/system/chronyd.service
package chrony 4.6.1-1
mkdir -p $stage/iproute-tc/usr/sbin
mv /usr/sbin/tc $stage/iproute-tc/usr/sbin/tc
package iproute-tc 6.11.0-1 'Requires: iproute'
payload containerd.io containerd runc
package containerd.io 1.7.27-3.1 'Provides: containerd' 'Provides: runc' \
    'Requires: container-selinux'
package container-selinux 2.235.0-1 'Requires: selinux-policy'
package kernel-modules-extra 6.12.0-55.9.1 'Requires: kernel-core' 'Provides: installonlypkg(kernel-module)'

# Kubernetes' own, in a repository that excludes them as its documentation says.
kube='kubelet kubeadm kubectl'
for name in $kube; do
    payload $name $name
    package $name 1.29.15-150500.1.1
done

# A package with an update.
sample_spec() {
    cat <<EOF
Name: sample
Version: $1
Release: 1.el10
Summary: a package that has an update
License: none
BuildArch: noarch
%description
A package that has an update.
%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/etc
printf '#!/bin/sh\necho sample $1\n' >%{buildroot}/usr/bin/sample
printf '# sample $1\ncolour = blue\n' >%{buildroot}/etc/sample.conf
%files
%attr(755,root,root) /usr/bin/sample
%config(noreplace) /etc/sample.conf
EOF
}
sample_spec 1.0 >/tmp/sample-1.0.spec
sample_spec 1.1 >/tmp/sample-1.1.spec

mkdir -p /etc/rpm
echo '%_dbpath /usr/lib/sysimage/rpm' >/etc/rpm/macros
mkdir -p /usr/lib/sysimage/rpm
rm -rf /var/lib/rpm
ln -s ../../usr/lib/sysimage/rpm /var/lib/rpm
for file in $spec /tmp/sample-1.0.spec /tmp/sample-1.1.spec; do
    quiet rpmbuild --quiet -bb --define '_topdir /tmp/rpmbuild' $file
done
mkdir -p /srv/rpms /srv/rpms-kubernetes /srv/rpms-docker
find /tmp/rpmbuild/RPMS -name '*.rpm' -exec mv -t /srv/rpms {} +
for name in $kube; do mv /srv/rpms/$name-*.rpm /srv/rpms-kubernetes/; done
# RHEL has no containerd; Docker does.
mv /srv/rpms/containerd.io-*.rpm /srv/rpms-docker/
rpm --initdb
files() { for name; do ls /srv/rpms/$name-[0-9]*.rpm | head -n 1; done; }

# --- No Debian any more -------------------------------------------------------
rm -f /usr/lib/systemd/system/ssh.s* /usr/lib/systemd/system/ssh@* \
    /usr/lib/systemd/system/rescue-ssh.target /etc/systemd/system/sshd.service \
    /etc/systemd/system/*.wants/ssh.*
rm -f /etc/debian_version
rpm -i --justdb --nodeps $(files $justdb)
rpm -i --replacefiles --nodeps $(files $installed) /srv/rpms/sample-1.0-*.rpm
createrepo_c --quiet /srv/rpms
createrepo_c --quiet /srv/rpms-kubernetes
createrepo_c --quiet /srv/rpms-docker
mv /usr/lib/systemd/system/cron.service /usr/lib/systemd/system/crond.service
rm -f /etc/systemd/system/multi-user.target.wants/cron.service
update-alternatives --version 2>/dev/null | grep -q Debian && exit 1
rm -rf /etc/apt /etc/dpkg /usr/lib/apt /usr/lib/dpkg /usr/share/dpkg /var/lib/apt \
    /var/lib/dpkg /var/cache/apt /var/log/apt /srv/debs /srv/debs-kubernetes /srv/rhel-debs /srv/alternatives \
    /usr/bin/apt* /usr/bin/dpkg* /usr/bin/update-alternatives /usr/sbin/dpkg* \
    /etc/cron.daily/apt-compat /etc/cron.daily/dpkg \
    /usr/lib/python3/dist-packages/apt* /usr/sbin/debconf* /tmp/* \
    /usr/bin/deb-systemd* /usr/lib/systemd/system/apt-* /usr/lib/systemd/system/dpkg-* \
    /etc/systemd/system/timers.target.wants/apt-* /etc/systemd/system/timers.target.wants/dpkg-* \
    /etc/systemd/system/apt-*
find / -xdev -name '*dpkg*' -prune -exec rm -rf {} +
# Init scripts would come back as units, a second sshd among them.
rm -rf /etc/init.d /etc/rc?.d /etc/default /var/lib/systemd/deb-systemd-*
rm -f /usr/lib/python3/dist-packages/dnf-plugins/show_leaves.py
# A package of its own on RHEL, and not there by default: it would keep each
# package that is installed in a repository that wants signatures.
rm -f /usr/lib/python3/dist-packages/dnf-plugins/local.py /etc/dnf/plugins/local.conf
# polkit brings it; the other hosts have none, and a session manager for each
# login would only blur what is measured here.
sed -i '/pam_systemd/d' /etc/pam.d/common-session
ln -sf /usr/bin/gawk /usr/bin/awk
ln -sf bash /usr/bin/sh
[ -e /usr/bin/yum ] || ln -s dnf /usr/bin/yum

# --- RHEL ------------------------------------------------------------------------
cat >/usr/lib/os-release <<'EOF'
NAME="Red Hat Enterprise Linux"
VERSION="10.0 (Coughlan)"
ID="rhel"
ID_LIKE="centos fedora"
VERSION_ID="10.0"
PLATFORM_ID="platform:el10"
PRETTY_NAME="Red Hat Enterprise Linux 10.0 (Coughlan)"
ANSI_COLOR="0;31"
LOGO="fedora-logo-icon"
CPE_NAME="cpe:/o:redhat:enterprise_linux:10::baseos"
HOME_URL="https://www.redhat.com/"
VENDOR_NAME="Red Hat"
DOCUMENTATION_URL="https://access.redhat.com/documentation/en-us/red_hat_enterprise_linux/10"
REDHAT_SUPPORT_PRODUCT="Red Hat Enterprise Linux"
REDHAT_SUPPORT_PRODUCT_VERSION="10.0"
EOF
ln -sf ../usr/lib/os-release /etc/os-release
echo 'Red Hat Enterprise Linux release 10.0 (Coughlan)' >/etc/redhat-release
ln -sf redhat-release /etc/system-release
mkdir -p /etc/selinux /etc/sysconfig /etc/yum.repos.d
printf 'SELINUX=enforcing\nSELINUXTYPE=targeted\n' >/etc/selinux/config
printf '[main]\ngpgcheck=0\ninstallonly_limit=3\nclean_requirements_on_remove=True\nbest=True\nskip_if_unavailable=False\n' \
    >/etc/dnf/dnf.conf
printf '[rhel-10-baseos]\nname=Red Hat Enterprise Linux 10 - BaseOS\nbaseurl=file:///srv/rpms\nenabled=1\ngpgcheck=0\n' \
    >/etc/yum.repos.d/redhat.repo
printf '[kubernetes]\nname=Kubernetes\nbaseurl=file:///srv/rpms-kubernetes\nenabled=1\ngpgcheck=0\nexclude=kubelet kubeadm kubectl\n' \
    >/etc/yum.repos.d/kubernetes.repo

# What ordinary users find without asking for it, over ssh and in a login shell.
echo 'PATH="/usr/local/bin:/usr/bin:/usr/local/sbin:/usr/sbin"' >/etc/environment
cat >/etc/profile <<'EOF'
# /etc/profile
if [ "$(id -u)" -eq 0 ]; then
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/root/bin
fi
export PATH
for i in /etc/profile.d/*.sh; do
    if [ -r "$i" ]; then . "$i"; fi
done
unset i
EOF

groupadd -f wheel
gpasswd -d operator sudo >/dev/null
usermod -aG wheel operator
cat >/etc/sudoers <<'EOF'
Defaults   !visiblepw
Defaults    always_set_home
Defaults    env_reset
Defaults    env_keep =  "COLORS DISPLAY HOSTNAME HISTSIZE KDEDIR LS_COLORS"
Defaults    env_keep += "LANG LANGUAGE LC_ALL LC_COLLATE LC_CTYPE LC_MESSAGES"
Defaults    secure_path = /sbin:/bin:/usr/sbin:/usr/bin
root    ALL=(ALL)       ALL
%wheel  ALL=(ALL)       ALL
#includedir /etc/sudoers.d
EOF
chmod 440 /etc/sudoers

cat >/etc/fstab <<'EOF'

#
# /etc/fstab
# Created by anaconda on Tue Jun 10 09:12:44 2025
#
# Accessible filesystems, by reference, are maintained under '/dev/disk/'.
# See man pages fstab(5), findfs(8), mount(8) and/or blkid(8) for more info.
#
# After editing this file, run 'systemctl daemon-reload' to update systemd
# units generated from this file.
#
UUID=8c6a0c5e-52a5-4b52-9c3a-8c6f2f0f2d10 none                    swap    defaults        0 0
EOF

systemctl -q enable sshd crond firewalld NetworkManager systemd-oomd
systemctl -q disable systemd-networkd
systemctl -q mask NetworkManager-wait-online
rm -f /usr/lib/sysctl.d/*
