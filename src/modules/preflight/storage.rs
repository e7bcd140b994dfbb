//! Where Kubernetes writes.

use super::Check;
use super::finding::Finding;

pub const DISK: Check = Check {
    name: "disk",
    // A directory that is not there yet will be on the file system above it.
    look: |_| {
        "echo =disk; set --; for x in / /var/lib /var/lib/containerd /var/lib/kubelet /var/lib/etcd; do [ -d \"$x\" ] && set -- \"$@\" \"$x\"; done
df -kP -- \"$@\" 2>/dev/null | while read -r x y z a b c; do case $y in [0-9]*) echo \"$x $y $z $a $b $c\" ;; esac; done
"
        .to_string()
    },
    judge: |wanted, seen| {
        let mut places: Vec<&str> = Vec::new();
        let mut found = Vec::new();
        for line in seen.lines("disk") {
            let words: Vec<&str> = line.splitn(6, ' ').collect();
            let [_, _, _, free, used, place] = words[..] else {
                continue;
            };
            if places.contains(&place) {
                continue;
            }
            places.push(place);
            let free = free.parse::<u64>().unwrap_or(u64::MAX) / 1024;
            if free >= wanted.disk_free {
                continue;
            }
            found.push(Finding {
                what: format!("{place} has {free} MiB left, {used} are used"),
                place: place.to_owned(),
                why: "below its limits (10 % of the node's, 15 % of the images' file system) the kubelet evicts pods",
                fix: format!("make room: {} MiB are wanted", wanted.disk_free),
                task: None,
            });
        }
        found
    },
};
