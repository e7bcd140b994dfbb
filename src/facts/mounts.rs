//! Mounted file systems and their sizes.
//!
//! The list comes from /proc, which cannot hang. A size is asked for once per device, of local file systems only:
//! a network or FUSE mount may never answer (those that may fail are asked under a limit, hard NFS mounts never),
//! and what containers mount by the hundred is the same device again.

use std::collections::HashMap;

use super::devices::uuids;
use super::hardware::HARDWARE;
use super::{Family, Seen, set};
use crate::vars::{Map, Value};

pub(super) const MOUNTS: Family = Family {
    late: r#"echo =mountinfo
M=$(grep -a ' - [^ ]* \(/\|[^ ]*:/\)' proc/self/mountinfo 2>/dev/null)
printf '%s\n' "$M"
S= R= t=' '
for m in $M; do
  IFS=' '
  set -- $m
  IFS=$NL
  case $t in *" $3 "*) continue ;; esac
  case $5 in
    */kubelet/*|*/containerd/*|*/containers/*|*/docker/*|*%*) continue ;;
    *\\*) x=$(printf "$5") ;;
    *) x=$5 ;;
  esac
  case ${m##* - } in
    nfs*,soft,*|nfs*,soft|nfs*,softerr*|cifs*|smb3*|fuse*|9p*|ceph*|glusterfs*) R=$R$NL$x ;;
    nfs*|autofs*|afs*|lustre*|gfs*|ocfs2*|beegfs*|gpfs*) ;;
    *) S=$S$NL$x ;;
  esac
  t="$t$3 "
done
echo =statfs
[ -n "$S" ] && stat -f -c '%s %S %b %a %c %d %n' $S 2>/dev/null
if [ -n "$R" ]; then
  within stat -f -c '%s %S %b %a %c %d %n' $R
  [ $? -ge 124 ] && n "ansible_mounts: the size of a network mount was not known within $LIMIT s"
fi
"#,
    read,
    ..HARDWARE
};

/// A line of /proc/self/mountinfo.
struct Mount {
    number: String,
    root: String,
    point: String,
    fstype: String,
    device: String,
    options: String,
}

fn read(seen: &Seen, facts: &mut Map) {
    let mounts: Vec<Mount> = seen
        .section("mountinfo")
        .iter()
        .filter_map(|line| Mount::parse(line))
        .collect();
    let sizes = sizes(seen, &mounts);
    let uuids = uuids(seen);
    let mut list: indexmap::IndexMap<&str, Value> = indexmap::IndexMap::new();
    for mount in &mounts {
        let uuid = uuids.get(&mount.device).map_or("N/A", String::as_str);
        list.insert(&mount.point, mount.fact(sizes.get(mount.number.as_str()), uuid));
    }
    set(facts, "mounts", Value::list(list.into_values()));
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(2);
        let (number, root, point) = (fields.next()?, fields.next()?, fields.next()?);
        let of_mount = fields.next()?;
        let mut fields = after.split(' ');
        let (fstype, device, of_system) = (fields.next()?, fields.next()?, fields.next().unwrap_or_default());
        Some(Self {
            number: number.to_string(),
            root: root.to_string(),
            point: unescaped(point),
            fstype: fstype.to_string(),
            device: unescaped(device),
            options: options(of_mount, of_system),
        })
    }

    fn fact(&self, size: Option<&Vec<i64>>, uuid: &str) -> Value {
        let mut fact = Map::new();
        let bind = self.root != "/" && !self.options.contains("bind");
        set(&mut fact, "mount", self.point.as_str());
        set(&mut fact, "device", self.device.as_str());
        set(&mut fact, "fstype", self.fstype.as_str());
        set(
            &mut fact,
            "options",
            if bind {
                format!("{},bind", self.options)
            } else {
                self.options.clone()
            },
        );
        set(&mut fact, "dump", 0);
        set(&mut fact, "passno", 0);
        match size {
            Some(size) => measured(&mut fact, size),
            None => set(
                &mut fact,
                "note",
                "the size was not asked for: this mount may not answer",
            ),
        }
        set(&mut fact, "uuid", uuid);
        Value::from(fact)
    }
}

/// The sizes of a file system, from `stat -f`.
fn measured(fact: &mut Map, size: &[i64]) {
    let [size, fragment, blocks, available, inodes, free] = *size else {
        return;
    };
    set(fact, "size_total", fragment.saturating_mul(blocks));
    set(fact, "size_available", fragment.saturating_mul(available));
    set(fact, "block_size", size);
    set(fact, "block_total", blocks);
    set(fact, "block_available", available);
    set(fact, "block_used", blocks.saturating_sub(available));
    set(fact, "inode_total", inodes);
    set(fact, "inode_available", free);
    set(fact, "inode_used", inodes.saturating_sub(free));
}

/// By device number: the same file system has the same size wherever it is mounted.
fn sizes<'a>(seen: &Seen, mounts: &'a [Mount]) -> HashMap<&'a str, Vec<i64>> {
    let mut sizes = HashMap::new();
    for line in seen.section("statfs") {
        let mut fields = line.splitn(7, ' ');
        let numbers: Vec<i64> = fields
            .by_ref()
            .take(6)
            .filter_map(|word| word.parse().ok())
            .collect();
        let Some(point) = fields.next() else { continue };
        let Some(mount) = mounts.iter().find(|mount| mount.point == point) else {
            continue;
        };
        sizes.insert(mount.number.as_str(), numbers);
    }
    sizes
}

/// As /proc/mounts joins the options of the mount and those of the file system.
fn options(of_mount: &str, of_system: &str) -> String {
    let split = |options: &str| -> (String, String) {
        match options.split_once(',') {
            Some((mode, rest)) => (mode.to_string(), rest.to_string()),
            None => (options.to_string(), String::new()),
        }
    };
    let ((mode, mut rest), (system_mode, system_rest)) = (split(of_mount), split(of_system));
    let read_only = mode == "ro" || system_mode == "ro";
    if !system_rest.is_empty() {
        rest = if rest.is_empty() {
            system_rest
        } else {
            format!("{rest},{system_rest}")
        };
    }
    let mode = if read_only { "ro" } else { "rw" };
    if rest.is_empty() {
        mode.to_string()
    } else {
        format!("{mode},{rest}")
    }
}

/// `\040` and its like are bytes in octal.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let octal = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok();
        let code = if *first == b'\\' {
            after.get(..3).and_then(octal)
        } else {
            None
        };
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() {
            after.get(3..).unwrap_or_default()
        } else {
            after
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_of_the_mount_and_of_the_file_system_are_one_list() {
        assert_eq!(options("rw,relatime", "rw,discard"), "rw,relatime,discard");
        assert_eq!(options("rw", "ro"), "ro");
        assert_eq!(options("ro,nosuid", "rw"), "ro,nosuid");
    }

    #[test]
    fn blanks_in_mount_points_are_octal() {
        assert_eq!(unescaped("/mnt/a\\040b\\134"), "/mnt/a b\\");
        assert_eq!(unescaped("/mnt/\\9"), "/mnt/\\9");
    }
}
