#!/bin/sh
# Takes Python, and all that needs it, off a Debian host. Runs inside the root.
set -eu
export DEBIAN_FRONTEND=noninteractive
pythons=$(dpkg-query -W -f '${Package}\n' '*python3*' | sort)
apt-get -qq -y -o DPkg::Options::=--force-unsafe-io purge $pythons >/dev/null
apt-get -qq -y -o DPkg::Options::=--force-unsafe-io autoremove --purge >/dev/null
rm -rf /usr/lib/python3* /usr/local/lib/python3* /var/log/apt/* /var/log/dpkg.log

# ufw is a Python program. A stand-in that says what ufw says of itself when
# it is off, so that switching it off can be tried here too.
cat >/usr/sbin/ufw <<'EOF'
#!/bin/sh
state=/etc/ufw/enabled
case "${1:-}" in
status) if [ -e $state ]; then echo 'Status: active'; else echo 'Status: inactive'; fi ;;
--force) shift; exec "$0" "$@" ;;
enable) mkdir -p /etc/ufw; : >$state; echo 'Firewall is active and enabled on system startup' ;;
disable) rm -f $state; echo 'Firewall stopped and disabled on system startup' ;;
*) echo "ERROR: Invalid syntax" >&2; exit 1 ;;
esac
EOF
chmod 755 /usr/sbin/ufw
cat >/usr/lib/systemd/system/ufw.service <<'EOF'
[Unit]
Description=Uncomplicated firewall
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
ExecStop=/bin/true
[Install]
WantedBy=multi-user.target
EOF
systemctl -q enable ufw
if command -v python3 || command -v python; then echo 'Python is still there' >&2; exit 1; fi
