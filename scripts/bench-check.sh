#!/bin/sh
# What an expert would write by hand to see whether the network role has anything to do on a host: the yardstick of
# scripts/bench.sh. Runs on the host, as root: ssh HOST sh -s < scripts/bench-check.sh. Looks only; prints what is
# not as it should be. Ends with 0 if nothing is, else with 1.
#
# $sums: lines of sha256sum for the files that the role writes, put in front by whoever sends this.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
bad=0
wrong() {
    echo "$*"
    bad=1
}

# shellcheck source=/dev/null
. /etc/os-release
case "$ID ${ID_LIKE:-}" in
*debian*) family=debian ;;
*rhel* | *fedora*) family=redhat ;;
*) wrong "unknown system $ID" ;;
esac

# Swap
[ "$(wc -l < /proc/swaps)" -le 1 ] || wrong "swap is on"
! grep -Eq '^[[:space:]]*[^#[:space:]][^[:space:]]*[[:space:]]+[^[:space:]]+[[:space:]]+swap([[:space:]]|$)' /etc/fstab ||
    wrong "swap is in fstab"
[ "$(systemctl is-enabled swap.target 2> /dev/null)" = masked ] || wrong "swap.target is not masked"

# Packages
case $family in
debian)
    packages='iptables conntrack socat iproute2 ethtool'
    # shellcheck disable=SC2016,SC2086
    count=$(dpkg-query -W -f '${db:Status-Status}\n' $packages 2> /dev/null | grep -cx installed)
    [ "$count" = 5 ] || wrong "packages are missing"
    [ -n "$(find /var/lib/apt/lists -maxdepth 0 -mmin -1440)" ] || wrong "apt's lists are old"
    ;;
redhat)
    rpm -q iptables-nft iptables-nft-services conntrack-tools socat iproute-tc ethtool kernel-modules-extra \
        > /dev/null || wrong "packages are missing"
    ;;
esac

# Files, with their modes
printf '%s\n' "$sums" | sha256sum --quiet -c - || wrong "files differ"
modes=$(stat -c '%a %U %G' /etc/modules-load.d/kubernetes.conf /etc/sysctl.d/99-zz-kubernetes.conf \
    /etc/tmpfiles.d/kubernetes.conf /usr/local/sbin/kubernetes-iptables \
    /etc/systemd/system/kubernetes-iptables.service /run/xtables.lock | tr '\n' ,)
root='root root'
[ "$modes" = "644 $root,644 $root,644 $root,755 $root,644 $root,600 $root," ] || wrong "modes: $modes"

# Kernel settings, now and at boot
now=$(sysctl -n net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables net.bridge.bridge-nf-call-ip6tables |
    tr '\n' ' ')
[ "$now" = '1 1 1 ' ] || wrong "sysctls are $now"
for key in net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables net.bridge.bridge-nf-call-ip6tables; do
    grep -qx "$key=1" /etc/sysctl.d/99-zz-kubernetes.conf || wrong "$key is not set at boot"
done
for file in /etc/sysctl.conf /etc/sysctl.d/*.conf; do
    [ "$file" = /etc/sysctl.conf ] || [ "$file" '>' /etc/sysctl.d/99-zz-kubernetes.conf ] || continue
    [ -e "$file" ] || continue
    ! grep -Eq '^[ \t]*-?net[./](ipv4[./]ip_forward|bridge[./]bridge-nf-call-ip6?tables)[ \t]*=[ \t]*([^1 \t]|1[^ \t])' \
        "$file" || wrong "$file sets something else"
done

# Firewalls
for unit in firewalld ufw; do
    [ -e "/usr/lib/systemd/system/$unit.service" ] || continue
    ! systemctl is-active -q "$unit" || wrong "$unit runs"
    ! systemctl is-enabled -q "$unit" || wrong "$unit is enabled"
done
if [ -e /etc/ufw/ufw.conf ]; then
    ! grep -q '^ENABLED=yes' /etc/ufw/ufw.conf || wrong "ufw is on"
fi

# SELinux and systemd-oomd
if [ "$family" = redhat ]; then
    ! grep -q '^SELINUX=enforcing' /etc/selinux/config || wrong "SELinux will be enforcing"
    [ "$(getenforce 2> /dev/null)" != Enforcing ] || wrong "SELinux is enforcing"
    for unit in systemd-oomd.socket systemd-oomd.service; do
        [ -e "/usr/lib/systemd/system/$unit" ] || continue
        ! systemctl is-active -q "$unit" || wrong "$unit runs"
        ! systemctl is-enabled -q "$unit" || wrong "$unit is enabled"
    done
fi

# iptables
[ "$(readlink /etc/alternatives/iptables)" = /usr/sbin/iptables-nft ] || wrong "iptables is not nft's"
[ "$(readlink /etc/alternatives/ip6tables)" = /usr/sbin/ip6tables-nft ] || wrong "ip6tables is not nft's"
systemctl is-enabled -q kubernetes-iptables.service || wrong "the rules are not made at boot"
# The role runs it, too: it looks, and changes only what differs.
[ -z "$(/usr/local/sbin/kubernetes-iptables apply)" ] || wrong "rules of iptables were missing"

exit $bad
