//! A package manager that is only asked what it would do.
//!
//! Even then it writes: logs of its own, a cache that it finds out of date, a lock, the journal of a database. So it
//! is asked in a mount namespace of its own, where all of that is in memory and gone with it; it also answers where
//! nothing can be written to at all. Where there can be no such namespace (who asks is not root, or a container may
//! not), it is asked as it is.

/// Where apt, dnf and rpm write, besides `/var/log`.
const WRITTEN: &str = "/var/cache/apt /var/lib/apt /var/lib/dpkg /var/cache/dnf /var/cache/libdnf5 /var/lib/dnf \
                       /usr/lib/sysimage/libdnf5 /usr/lib/sysimage/rpm /var/lib/rpm";

/// Shell text that runs a command line so.
pub fn aside(command: &str) -> String {
    format!(
        r#"aside='{{ mount -n -t tmpfs -o mode=755 vmstation /var/log && mkdir /var/log/tmp && export TMPDIR=/var/log/tmp PYTHONDONTWRITEBYTECODE=1 &&
for d in {WRITTEN}; do
[ -d "$d" ] && [ ! -L "$d" ] || continue
n=$((n + 1)); mkdir "/var/log/$n" "/var/log/$n/upper" "/var/log/$n/work"
mount -n -t overlay -o "lowerdir=$d,upperdir=/var/log/$n/upper,workdir=/var/log/$n/work" vmstation "$d"
done; }} 2>/dev/null
"$@"'
aside() {{
if unshare --mount --propagation private true 2>/dev/null; then unshare --mount --propagation private sh -c "$aside" aside "$@"
else "$@"; fi; }}
aside {command}"#
    )
}
