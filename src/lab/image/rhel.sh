#!/bin/sh
# Makes a machine of a copy of the RHEL look-alike's root, which has Debian's kernel
# modules already. Runs inside it, without a network.
set -eu

# What only a container cannot do.
systemctl -q unmask systemd-remount-fs systemd-pstore dev-hugepages.mount
sed -i '/[[:space:]]swap[[:space:]]/i LABEL=root                                /                       ext4    defaults        1 1' /etc/fstab

# What keeps the clock; its RPM is in the repository, for playbooks, and has no scripts.
# Debian's expects its configuration in a directory.
rpm -i --nodeps /srv/rpms/chrony-[0-9]*.rpm
useradd -r -d /var/lib/chrony -s /usr/sbin/nologin _chrony
install -d -o _chrony -g _chrony /var/lib/chrony /var/log/chrony
sed '/^pool/d' /usr/share/chrony/chrony.conf >/etc/chrony/chrony.conf
systemctl -q enable chronyd

# The kernel settings that systemd brings along on RHEL.
mkdir -p /usr/lib/sysctl.d
cat >/usr/lib/sysctl.d/50-default.conf <<'END'
# See sysctl.d(5) and core(5) for documentation.

# Use kernel.sysrq = 1 to allow all keys.
kernel.sysrq = 16

# Append the PID to the core filename
kernel.core_uses_pid = 1

# Source route verification
net.ipv4.conf.default.rp_filter = 2
net.ipv4.conf.*.rp_filter = 2
-net.ipv4.conf.all.rp_filter

# Do not accept source routing
net.ipv4.conf.default.accept_source_route = 0
net.ipv4.conf.*.accept_source_route = 0
-net.ipv4.conf.all.accept_source_route

# Promote secondary addresses when the primary address is removed
net.ipv4.conf.default.promote_secondaries = 1
net.ipv4.conf.*.promote_secondaries = 1
-net.ipv4.conf.all.promote_secondaries

# Fair Queue CoDel packet scheduler to fight bufferbloat
-net.core.default_qdisc = fq_codel

# Enable hard and soft link protection
fs.protected_hardlinks = 1
fs.protected_symlinks = 1

# Enable regular file and FIFO protection
fs.protected_regular = 1
fs.protected_fifos = 1
END
printf 'kernel.pid_max = 4194304\n' >/usr/lib/sysctl.d/50-pid-max.conf
