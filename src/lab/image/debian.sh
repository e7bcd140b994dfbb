#!/bin/sh
# Makes a machine of a copy of the Debian root. Runs inside it, without a network;
# /srv/kernel holds the packages. Leaves /boot/vmlinuz and /boot/initrd.
set -eu
export DEBIAN_FRONTEND=noninteractive

# quiet COMMAND…: its output only if it fails.
quiet() {
    "$@" >/tmp/quiet.log 2>&1 || { cat /tmp/quiet.log >&2; exit 1; }
}

# The initial RAM disk has just what finds this disk: it is unpacked by an emulated
# processor, at each boot.
mkdir -p /etc/initramfs-tools/conf.d /etc/initramfs-tools/scripts/local-bottom
printf 'MODULES=list\nCOMPRESS=gzip\nFSTYPE=ext4\nRESUME=none\n' >/etc/initramfs-tools/conf.d/lab
printf 'virtio_pci\nvirtio_blk\next4\n' >/etc/initramfs-tools/modules

# What makes the disk this host, from a disk of its own, before anything of the host
# runs; once, and never at a reboot.
cat >/etc/initramfs-tools/scripts/local-bottom/lab <<'END'
#!/bin/sh
[ "${1:-}" != prereqs ] || exit 0
[ ! -e "${rootmnt}/etc/.furnished" ] || exit 0
mount -o remount,rw "${rootmnt}"
chroot "${rootmnt}" tar --no-overwrite-dir -xpf - </dev/disk/by-id/virtio-seed &&
    : >"${rootmnt}/etc/.furnished"
mount -o remount,ro "${rootmnt}"
END
chmod 755 /etc/initramfs-tools/scripts/local-bottom/lab

quiet dpkg --force-unsafe-io --force-confold -i /srv/kernel/*.deb
kernel=$(ls /usr/lib/modules)
cp "/boot/vmlinuz-$kernel" /boot/vmlinuz
mv "/boot/initrd.img-$kernel" /boot/initrd
rm -rf /srv/kernel /var/log/dpkg.log /var/log/alternatives.log

# What keeps the clock, out of the root's own repository. There is nobody to ask for the time.
quiet apt-get -y --no-install-recommends -o DPkg::Options::=--force-unsafe-io install chrony
sed -i '/^pool/d' /etc/chrony/chrony.conf

# What only a container cannot do.
systemctl -q unmask systemd-networkd-wait-online systemd-remount-fs systemd-pstore dev-hugepages.mount
sed -i '/^# swap was on/i # / was on /dev/sda1 during installation\nLABEL=root / ext4 errors=remount-ro 0 1' /etc/fstab
