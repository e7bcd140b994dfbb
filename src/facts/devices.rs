//! Disks and partitions.

use std::collections::HashMap;

use super::hardware::HARDWARE;
use super::{Family, Seen, set, strings};
use crate::vars::{Key, Map, Value};

pub(super) const DEVICES: Family = Family {
    links: &[
        "dev/disk/by-id/*",
        "dev/disk/by-uuid/*",
        "dev/disk/by-label/*",
        "sys/block/*",
    ],
    shell: r#"echo =blocks
for b in sys/block/*; do
  [ -d "$b" ] || continue
  x=${b##*/}
  for p in "$b/$x"*; do
    [ -d "$p" ] || continue
    x="$x ${p##*/}"
    F=$F$NL$p/start$NL$p/size
    f "$p"/holders/dm-*/dm/name
  done
  echo "$x"
  for p in removable size queue/rotational queue/logical_block_size queue/discard_granularity \
    queue/discard_max_hw_bytes queue/scheduler device/vendor device/model device/sas_address \
    device/sas_device_handle device/serial dm/name; do
    F=$F$NL$b/$p
  done
  f "$b"/holders/dm-*/dm/name
done
echo =slaves
e sys/block/*/slaves/*
"#,
    read,
    ..HARDWARE
};

/// Device name → names of its links, per kind.
type Links = HashMap<String, Vec<String>>;

fn read(seen: &Seen, facts: &mut Map) {
    let kinds: Vec<(&str, Links)> = vec![
        ("ids", links_in(seen, "dev/disk/by-id/")),
        ("uuids", links_in(seen, "dev/disk/by-uuid/")),
        ("labels", links_in(seen, "dev/disk/by-label/")),
        ("masters", masters(seen)),
    ];
    let all = kinds.iter().map(|(kind, links)| {
        let mut entries: Vec<_> = links.iter().collect();
        entries.sort();
        (
            *kind,
            Value::map(
                entries
                    .into_iter()
                    .map(|(device, names)| (device.as_str(), strings(names))),
            ),
        )
    });
    set(facts, "device_links", Value::map(all));
    let mut devices = Map::new();
    for line in seen.section("blocks") {
        let mut names = line.split(' ');
        let Some(name) = names.next() else { continue };
        let partitions: Vec<&str> = names.collect();
        set(&mut devices, name, device(seen, name, &partitions, &kinds));
    }
    set(facts, "devices", devices);
}

fn device(seen: &Seen, name: &str, partitions: &[&str], kinds: &[(&str, Links)]) -> Value {
    let file = |path: &str| seen.content(&format!("sys/block/{name}/{path}"));
    let or_null = |path: &str| file(path).map_or(Value::Null, Value::from);
    let sector_size = file("queue/logical_block_size").unwrap_or_else(|| "512".to_string());
    let sectors = sectors(file("size"), &sector_size);
    let mut fact = Map::new();
    // Ansible means by it whether /sys/block holds a link, which it always does.
    set(&mut fact, "virtual", 1);
    set(&mut fact, "links", links_of(name, kinds));
    for key in ["vendor", "model", "sas_address", "sas_device_handle"] {
        fact.insert(Key::from(key), or_null(&format!("device/{key}")));
    }
    if let Some(serial) = file("device/serial") {
        set(&mut fact, "serial", serial);
    }
    fact.insert(Key::from("removable"), or_null("removable"));
    let no_discard = file("queue/discard_max_hw_bytes").as_deref() == Some("0");
    let discard = if no_discard {
        Value::from("0")
    } else {
        or_null("queue/discard_granularity")
    };
    fact.insert(Key::from("support_discard"), discard);
    if let Some(wwn) = kinds.first().and_then(|(_, ids)| wwn(ids, name)) {
        set(&mut fact, "wwn", wwn);
    }
    let parts = partitions
        .iter()
        .map(|part| (*part, partition(seen, name, part, kinds)));
    set(&mut fact, "partitions", Value::map(parts));
    fact.insert(Key::from("rotational"), or_null("queue/rotational"));
    set(
        &mut fact,
        "scheduler_mode",
        scheduler(&file("queue/scheduler").unwrap_or_default()),
    );
    set(&mut fact, "sectors", sectors);
    set(&mut fact, "size", human(sectors, &sector_size));
    set(&mut fact, "sectorsize", sector_size);
    set(&mut fact, "host", "");
    set(
        &mut fact,
        "holders",
        holders(seen, &format!("sys/block/{name}/holders/")),
    );
    Value::from(fact)
}

fn partition(seen: &Seen, disk: &str, name: &str, kinds: &[(&str, Links)]) -> Value {
    let file = |path: &str| seen.content(&format!("sys/block/{disk}/{name}/{path}"));
    let sectors = sectors(file("size"), "512");
    let uuid = kinds.get(1).and_then(|(_, uuids)| uuids.get(name)?.first());
    Value::map([
        ("links", links_of(name, kinds)),
        (
            "start",
            Value::from(file("start").unwrap_or_else(|| "0".to_string())),
        ),
        // A partition has no queue of its own; Ansible falls back to this number.
        ("sectorsize", Value::Int(512)),
        ("sectors", Value::Int(sectors)),
        ("size", Value::from(human(sectors, "512"))),
        (
            "uuid",
            uuid.map_or(Value::Null, |uuid| Value::from(uuid.as_str())),
        ),
        (
            "holders",
            holders(seen, &format!("sys/block/{disk}/{name}/holders/")),
        ),
    ])
}

/// The links of one directory, by the device they lead to.
fn links_in(seen: &Seen, directory: &str) -> Links {
    let mut links = Links::new();
    for (path, target) in seen.links() {
        let Some(name) = path.strip_prefix(directory) else {
            continue;
        };
        let device = target.rsplit('/').next().unwrap_or_default();
        links
            .entry(device.to_string())
            .or_default()
            .push(name.to_string());
    }
    for names in links.values_mut() {
        names.sort();
    }
    links
}

/// Which devices are built on a device.
fn masters(seen: &Seen) -> Links {
    let mut masters = Links::new();
    for path in seen.section("slaves") {
        let mut parts = path.split('/').skip(2);
        if let (Some(master), Some("slaves"), Some(device)) = (parts.next(), parts.next(), parts.next()) {
            masters
                .entry(device.to_string())
                .or_default()
                .push(master.to_string());
        }
    }
    masters
}

fn links_of(device: &str, kinds: &[(&str, Links)]) -> Value {
    let names = |links: &Links| strings(links.get(device).map(Vec::as_slice).unwrap_or_default());
    Value::map(kinds.iter().map(|(kind, links)| (*kind, names(links))))
}

fn wwn(ids: &Links, device: &str) -> Option<String> {
    ids.get(device)?
        .iter()
        .find_map(|id| id.strip_prefix("wwn-"))
        .map(ToString::to_string)
}

fn holders(seen: &Seen, directory: &str) -> Value {
    let mut paths: Vec<&str> = seen.files_under(directory).collect();
    paths.sort_unstable();
    strings(paths.into_iter().filter_map(|path| seen.content(path)))
}

/// The kernel counts in units of 512 bytes, whatever the device's own sectors are.
fn sectors(size: Option<String>, sector_size: &str) -> i64 {
    let units = size.and_then(|size| size.parse::<i64>().ok()).unwrap_or(0);
    units.saturating_mul(512) / sector_size.parse::<i64>().unwrap_or(512).max(1)
}

fn human(sectors: i64, sector_size: &str) -> String {
    let mut bytes = sectors.saturating_mul(sector_size.parse().unwrap_or(512));
    let mut rest = 0;
    let mut unit = "Bytes";
    for larger in ["KB", "MB", "GB", "TB", "PB"] {
        if bytes < 1024 {
            break;
        }
        (rest, bytes, unit) = (bytes % 1024, bytes / 1024, larger);
    }
    // Two decimals of the fraction; what was lost below the last unit cannot change them.
    let hundredths = (rest * 100 + 512) / 1024;
    let (bytes, hundredths) = if hundredths == 100 {
        (bytes + 1, 0)
    } else {
        (bytes, hundredths)
    };
    format!("{bytes}.{hundredths:02} {unit}")
}

/// `mq-deadline [none]` → `none`.
fn scheduler(line: &str) -> &str {
    line.split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'))
        .map_or("", |(name, _)| name)
}

/// `/dev/sda1` → the UUID of its file system.
pub(super) fn uuids(seen: &Seen) -> HashMap<String, String> {
    let links = links_in(seen, "dev/disk/by-uuid/");
    let path = |device: &str| match seen.content(&format!("sys/block/{device}/dm/name")) {
        Some(name) => format!("/dev/mapper/{name}"),
        None => format!("/dev/{device}"),
    };
    links
        .into_iter()
        .filter_map(|(device, names)| Some((path(&device), names.into_iter().next()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        assert_eq!(human(0, "512"), "0.00 Bytes");
        assert_eq!(human(2_097_152, "512"), "1.00 GB");
        assert_eq!(human(1_953_525_168, "512"), "931.51 GB");
    }
}
