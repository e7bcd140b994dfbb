#!/bin/sh
# The smoke run on machines that KVM runs, also where there is none: in a Debian machine whose processor is emulated, AMD's
# virtualization with it. Its kernel's own KVM runs the three. Half an hour, most of it the emulation of one processor for
# all; QEMU's of several is not sound with virtualization. What was said is kept in target/smoke-kvm; it has no part in CI.
# VMSTATION_SMOKE_STAGE names some stages, as in docs/smoke.md.
set -eu
cd "$(dirname "$0")/.."
sh scripts/tools.sh
kept=$PWD/target/smoke-kvm
rm -rf "$kept"
mkdir -p "$kept"
smoke=$(sh scripts/smoke-program.sh)
vmstation=$PWD/target/debug/vmstation
lab=smoke-kvm$$
work=$(mktemp -d -p "$PWD/target")
qemu=
finish() {
    trap - EXIT INT TERM
    [ -z "$qemu" ] || kill "$qemu" 2>/dev/null || true
    "$vmstation" lab --name "$lab" down >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# There is no network in there: what the machines are made of is made here.
"$vmstation" lab --name "$lab" up --vms --accelerator emulation >/dev/null
"$vmstation" lab --name "$lab" down

echo 'making the machine that has KVM'
cp "$(ls -td /var/lib/vmstation/images/fetched-* | head -n 1)/sources" "$work/debian.sources"
root=$work/root
mmdebstrap --quiet --variant=apt --include=linux-image-cloud-amd64,initramfs-tools,systemd-sysv,udev,kmod,iproute2,procps,qemu-system-x86,qemu-utils,openssh-client,systemd-container,mmdebstrap,apt-utils,util-linux,e2fsprogs,sudo,busybox \
    --aptopt='Apt::Install-Recommends "false"' bookworm "$root" "$work/debian.sources"
# The programs know this directory by its name.
mkdir -p "$root$PWD/target/debug" "$root/var/lib/vmstation"
tar --exclude=./target --exclude=./.git -cf - . | tar -C "$root$PWD" -xf -
cp "$vmstation" "$root$vmstation"
cp "$smoke" "$root/root/smoke"
cp -a --sparse=always /var/lib/vmstation/lab /var/lib/vmstation/images "$root/var/lib/vmstation/"
cat >"$root/root/run" <<END
#!/bin/sh
set -x
modprobe kvm-amd
modprobe tun
cd "$PWD"
mkdir /root/kept
export VMSTATION_SMOKE_DIR=/root/kept VMSTATION_SMOKE_ACCELERATOR=kvm
${VMSTATION_SMOKE_STAGE:+export VMSTATION_SMOKE_STAGE='$VMSTATION_SMOKE_STAGE'}
/root/smoke --ignored --nocapture
echo "exit \$?"
dmesg >/root/kept/kvm-host.log
tar -C /root/kept -cf /dev/vdb .
END
cat >"$root/etc/systemd/system/smoke.service" <<'END'
[Unit]
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
ExecStart=/bin/sh /root/run
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS1
END
mkdir -p "$root/etc/systemd/system/multi-user.target.wants" "$root/etc/tmpfiles.d"
ln -s ../smoke.service "$root/etc/systemd/system/multi-user.target.wants/smoke.service"
# This directory may lie in /tmp, which is emptied at a boot.
ln -s /dev/null "$root/etc/tmpfiles.d/tmp.conf"
printf 'LABEL=root / ext4 errors=remount-ro 0 1\n' >"$root/etc/fstab"
echo kvm >"$root/etc/hostname"
mv "$root"/boot/vmlinuz-* "$work/vmlinuz"
mv "$root"/boot/initrd.img-* "$work/initrd"
mkfs.ext4 -q -L root -d "$root" "$work/root.img" 16G
rm -rf "$root"
truncate -s 256M "$work/kept.img"

: >"$kept/said.log"
timeout 6000 qemu-system-x86_64 -machine q35 -accel tcg,thread=single,tb-size=1024 -cpu EPYC,-xsave,-avx,-avx2 -m 6144 \
    -display none -nodefaults -no-user-config -no-reboot -nic none \
    -kernel "$work/vmlinuz" -initrd "$work/initrd" -append 'console=ttyS0 root=LABEL=root rw mitigations=off tsc=reliable panic=-1' \
    -drive "file=$work/root.img,format=raw,if=virtio,cache=unsafe" \
    -drive "file=$work/kept.img,format=raw,if=virtio,cache=unsafe" \
    -serial "file:$kept/kvm-console.log" -serial "file:$kept/said.log" 2>"$kept/kvm-qemu.log" &
qemu=$!
tail -f --pid="$qemu" -n +1 "$kept/said.log" 2>/dev/null &
wait "$qemu" || true
qemu=
tar -C "$kept" -xf "$work/kept.img"
echo "artefacts: $kept"
grep -q '^exit 0' "$kept/said.log"
