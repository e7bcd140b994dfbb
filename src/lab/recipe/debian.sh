#!/bin/sh
# Makes a Debian 12 host of a fresh root. Runs inside the root, without a network;
# /srv/debs holds the packages that become its only repository.
set -eu

# The repository. A root that asks for anything else must fail, not reach out.
rm -rf /etc/apt/sources.list.d/* /var/lib/apt/lists/*
echo 'deb [trusted=yes] file:/srv/debs ./' >/etc/apt/sources.list
rm -f /etc/apt/apt.conf.d/99mmdebstrap

# One package that is installed in an older version than the repository has, so
# that "latest" has something to do, with a configuration file to keep.
build_sample() {
    tree=/tmp/sample; rm -rf $tree; mkdir -p $tree/DEBIAN $tree/usr/bin $tree/etc
    printf '#!/bin/sh\necho sample %s\n' "$1" >$tree/usr/bin/sample
    chmod 755 $tree/usr/bin/sample
    printf '# sample %s\ncolour = blue\n' "$1" >$tree/etc/sample.conf
    echo /etc/sample.conf >$tree/DEBIAN/conffiles
    cat >$tree/DEBIAN/control <<EOF
Package: sample
Version: $1
Architecture: all
Maintainer: lab <lab@localhost>
Description: a package that has an update
EOF
    dpkg-deb --root-owner-group -b $tree /srv/debs/sample_$1_all.deb >/dev/null
    rm -rf $tree
}
build_sample 1.0-1
build_sample 1.1-1
dpkg -i /srv/debs/sample_1.0-1_all.deb >/dev/null

# Kubernetes' own packages come from elsewhere; these have their names, versions
# and files, and a kubelet that stays up and does nothing.
build_kube() {
    tree=/tmp/kube; rm -rf $tree; mkdir -p $tree/DEBIAN $tree/usr/bin
    cat >$tree/usr/bin/$1 <<EOF
#!/bin/sh
# Where the lab has a control plane, it brings a kubeadm along, and a kubelet that does something.
[ $1 != kubeadm ] || [ ! -x /usr/local/lib/control-plane/kubeadm ] || exec /usr/local/lib/control-plane/kubeadm "\$@"
if [ $1 = kubelet ] && [ \$# = 0 ] && [ -x /usr/local/lib/control-plane/kubelet ] && [ -e /etc/kubernetes/kubelet.conf ]
then exec /usr/local/lib/control-plane/kubelet
fi
case "\${1:-}" in
--version) echo "Kubernetes v$2" ;;
version) echo "$1 version v$2 (a stand-in)" ;;
'') [ $1 = kubelet ] && exec sleep infinity ;;
*) echo "$1: a stand-in that cannot do: \$*" >&2; exit 1 ;;
esac
EOF
    chmod 755 $tree/usr/bin/$1
    cat >$tree/DEBIAN/control <<EOF
Package: $1
Version: $2-1.1
Architecture: $(dpkg --print-architecture)
Maintainer: lab <lab@localhost>
Depends: ${3:-libc6}
Description: a stand-in for $1
EOF
    if [ $1 = kubelet ]; then
        # What a pod's image would have for looking about.
        mkdir -p $tree/usr/lib/kubelet/bin
        dpkg-deb --fsys-tarfile /srv/debs/busybox_*.deb | tar -xO ./bin/busybox >$tree/usr/lib/kubelet/bin/nslookup
        chmod 755 $tree/usr/lib/kubelet/bin/nslookup
        mkdir -p $tree/lib/systemd/system
        cat >$tree/lib/systemd/system/kubelet.service <<'EOF'
[Unit]
Description=kubelet: The Kubernetes Node Agent (a stand-in)
[Service]
ExecStart=/usr/bin/kubelet
Restart=always
RestartSec=2
[Install]
WantedBy=multi-user.target
EOF
        cat >$tree/DEBIAN/postinst <<'EOF'
#!/bin/sh
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload; systemctl enable --now kubelet.service
fi
EOF
        chmod 755 $tree/DEBIAN/postinst
    fi
    dpkg-deb --root-owner-group -b $tree "/srv/debs-kubernetes/$1_$2-1.1_$(dpkg --print-architecture).deb" >/dev/null
    rm -rf $tree
}
mkdir -p /srv/debs-kubernetes
build_kube kubelet 1.29.15 'iptables, iproute2, socat, conntrack, ebtables, ethtool'
build_kube kubectl 1.29.15
build_kube kubeadm 1.29.15 'kubelet, kubectl'

(cd /srv/debs && apt-ftparchive packages . >Packages && apt-ftparchive release . >Release)
apt-get -qq update

# Kubernetes' repository is not one of the hosts' own: who wants it names it, and has its key. gpg is not for the hosts.
for deb in gpg gpg-agent libassuan0 libksba8 libnpth0 libreadline8 libsqlite3-0; do
    for file in /srv/debs/${deb}_*.deb; do
        [ ! -e "$file" ] || dpkg-deb -x "$file" /tmp/gpg
    done
done
gpg() {
    LD_LIBRARY_PATH=$(echo /tmp/gpg/usr/lib/*-linux-gnu) GNUPGHOME=/tmp/gnupg \
        /tmp/gpg/usr/bin/gpg --agent-program /tmp/gpg/usr/bin/gpg-agent --batch --quiet --yes "$@"
}
mkdir -m 700 /tmp/gnupg
# Another one is there too, for trying what a wrong key does.
for name in kubernetes another; do
    gpg --passphrase '' --quick-generate-key "$name@lab" ed25519 sign never
    gpg --armor --export "$name@lab" >/srv/debs-kubernetes/$name.asc
done
(cd /srv/debs-kubernetes && apt-ftparchive packages . >Packages && apt-ftparchive release . >/tmp/Release &&
    gpg --local-user kubernetes@lab --clearsign --output InRelease /tmp/Release)

# Users. root is reached with the lab's key; admin has sudo without a password,
# operator's sudo asks for one (it is: operator), guest has none.
getent group operator >/dev/null || groupadd operator
useradd -m -s /bin/bash admin
useradd -m -s /bin/bash -g operator operator
useradd -m -s /bin/bash guest
for user in admin operator guest; do echo "$user:$user"; done | chpasswd
usermod -aG sudo operator
echo 'admin ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/admin
chmod 440 /etc/sudoers.d/admin
# Many clients shake hands at once here; how many sessions one connection may
# have stays what it is by default.
echo 'MaxStartups 100:30:200' >/etc/ssh/sshd_config.d/lab.conf
rm -f /etc/ssh/ssh_host_*

# As an installer leaves it: comments, the root, one swap line.
cat >/etc/fstab <<'EOF'
# /etc/fstab: static file system information.
#
# Use 'blkid' to print the universally unique identifier for a
# device; this may be used with UUID= as a more robust way to name devices
# that works even if disks are added and removed. See fstab(5).
#
# systemd generates mount units based on this file, see systemd.mount(5).
# Please run 'systemctl daemon-reload' after making changes here.
#
# <file system> <mount point>   <type>  <options>       <dump>  <pass>
# swap was on /dev/sda5 during installation
UUID=3f1c2a54-6f0e-4a6e-9d3b-0c8f5f6f7a11 none            swap    sw              0       0
EOF

# What cannot work in a container would only be a failed unit or a long wait.
systemctl -q mask systemd-networkd-wait-online systemd-remount-fs systemd-pstore \
    e2scrub_reap dev-hugepages.mount
# Nothing happens by the clock: what a run changed must not depend on when it ran (dpkg
# backs up its database at midnight).
systemctl -q mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    e2scrub_all.timer fstrim.timer logrotate.timer systemd-tmpfiles-clean.timer
rm -f /usr/lib/sysctl.d/*
systemctl -q enable systemd-networkd
# The address is fixed; nobody must wait for a name server.
: >/etc/resolv.conf
rm -f /var/log/apt/* /var/log/dpkg.log /var/log/bootstrap.log /var/log/alternatives.log
