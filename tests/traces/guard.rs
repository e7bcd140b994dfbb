//! What stands on a host for as long as a test runs.

use super::apart::PORT;
use super::casebook::shell;

/// A second sshd, in a mount namespace where nothing can be written to. What is written to devices goes through,
/// and what is in `/proc`, where a login notes down who it is; `/proc/sys` does not.
const SHUT: &str = r#"
cat >/run/only-looks <<'END'
awk '{ print length($5), $5 }' /proc/self/mountinfo | sort -rn | cut -d' ' -f2- | while read -r mount; do
    [ "$mount" = /proc ] || mount -n -o remount,bind,ro "$mount" || exit 1
done || exit 1
! touch /tmp/x /run/x /var/tmp/x /root/x /dev/shm/x 2>/dev/null || exit 1
exec /usr/sbin/sshd -D -o PidFile=none -p PORT
END
systemctl reset-failed only-looks 2>/dev/null
! systemctl is-active --quiet firewalld || firewall-cmd --quiet --add-port=PORT/tcp
systemd-run --quiet --unit=only-looks unshare --mount --propagation private sh /run/only-looks
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    sleep 0.2
    bash -c ': </dev/tcp/127.0.0.1/PORT' 2>/dev/null && exit
done
journalctl -u only-looks >&2
exit 1
"#;

pub struct ReadOnly<'a> {
    lab: &'a str,
    host: &'a str,
}

impl<'a> ReadOnly<'a> {
    pub fn on(lab: &'a str, host: &'a str) -> Self {
        let here = Self { lab, host };
        shell(lab, host, &SHUT.replace("PORT", &PORT.to_string()));
        here
    }
}

impl Drop for ReadOnly<'_> {
    fn drop(&mut self) {
        shell(
            self.lab,
            self.host,
            "systemctl stop only-looks; rm -f /run/only-looks",
        );
    }
}

/// Stands in for `python3`: programs of the distribution that are written in Python get theirs (dnf, firewalld),
/// everybody else is told that there is none, and noted down.
const GUARD: &str = r#"#!/bin/sh
for word; do
    case $word in
        /bin/* | /sbin/* | /usr/bin/* | /usr/sbin/* | /usr/lib/* | /usr/share/*) exec "$(readlink -f /usr/bin/python3-kept)" "$@";;
        -*) ;;
        *) break;;
    esac
done
echo "$* (by $(tr '\0' ' ' </proc/$PPID/cmdline))" | head -n 1 >>/run/python-called
echo "there is no Python here" >&2
exit 127
"#;

/// A host on which nobody calls Python unnoticed; one that has none anyway stays as it is.
pub struct PythonGuarded<'a> {
    lab: &'a str,
    host: &'a str,
}

impl<'a> PythonGuarded<'a> {
    pub fn on(lab: &'a str, host: &'a str) -> Self {
        let here = Self { lab, host };
        here.lift();
        shell(
            lab,
            host,
            &format!(
                "[ -L /usr/bin/python3 ] || exit 0
                 : >/run/python-called; chmod 666 /run/python-called
                 cat >/usr/bin/python3.guard <<'END'\n{GUARD}END\n
                 chmod 755 /usr/bin/python3.guard
                 mv /usr/bin/python3 /usr/bin/python3-kept && mv /usr/bin/python3.guard /usr/bin/python3
                 ! python3 -c '' 2>/dev/null && [ -s /run/python-called ] || exit 1
                 : >/run/python-called"
            ),
        );
        here
    }

    /// Who called it since, and how.
    pub fn called(&self) -> Vec<String> {
        let called = shell(self.lab, self.host, "cat /run/python-called 2>/dev/null || :");
        called.lines().map(str::to_string).collect()
    }

    fn lift(&self) {
        let script = "[ ! -L /usr/bin/python3-kept ] || mv -f /usr/bin/python3-kept /usr/bin/python3; \
                      rm -f /run/python-called";
        shell(self.lab, self.host, script);
    }
}

impl Drop for PythonGuarded<'_> {
    fn drop(&mut self) {
        self.lift();
    }
}
