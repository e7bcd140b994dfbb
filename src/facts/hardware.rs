//! Processors, memory, and what the firmware says of the machine.

use indexmap::IndexMap;

use super::{FAMILY, Family, Seen, set, strings, text};
use crate::vars::{Map, Value};

/// The names by which `gather_subset` means hardware.
const IDS: &[&str] = &[
    "processor",
    "processor_cores",
    "processor_count",
    "mounts",
    "devices",
];

/// What all families of the hardware have in common.
pub(super) const HARDWARE: Family = Family {
    name: "hardware",
    ids: IDS,
    needs: &["platform"],
    ..FAMILY
};

pub(super) const PROCESSORS: Family = Family {
    files: &["proc/cpuinfo", "proc/self/status", "sys/hypervisor/type"],
    exists: &["proc/xen"],
    read: read_processors,
    ..HARDWARE
};

pub(super) const MEMORY: Family = Family {
    files: &["proc/meminfo", "proc/uptime"],
    read: read_memory,
    ..HARDWARE
};

/// The firmware's files, but `uevent` and `modalias`, which repeat the rest.
pub(super) const DMI_FILES: &str = "sys/class/dmi/id/[!mu]*";

pub(super) const DMI: Family = Family {
    files: &[DMI_FILES],
    read: read_dmi,
    ..HARDWARE
};

/// What Ansible counts while it goes through /proc/cpuinfo.
#[derive(Default)]
struct Count {
    entries: i64,
    vendors: i64,
    models: i64,
    processors: i64,
    sockets: IndexMap<String, i64>,
    siblings: IndexMap<String, i64>,
    list: Vec<String>,
    flags: Vec<String>,
}

fn read_processors(seen: &Seen, facts: &mut Map) {
    let lines = seen.lines("proc/cpuinfo");
    if lines.is_empty() {
        return;
    }
    let count = Count::of(lines);
    let entries = count.entries(text(facts, "architecture"));
    let (sockets, cores, threads) = count.topology(entries);
    set(facts, "processor", strings(&count.list));
    if !count.flags.is_empty() {
        set(facts, "flags", strings(&count.flags));
    }
    let vcpus = sockets * cores * threads;
    let allowed = allowed(seen).unwrap_or(count.processors);
    let xen = seen.exists("proc/xen") || seen.content("sys/hypervisor/type").as_deref() == Some("xen");
    // A paravirtualized guest of Xen sees processors without sockets.
    let flat = xen && !count.flags.iter().any(|flag| flag == "vme");
    let (sockets, cores, threads, vcpus) = if flat {
        (entries, entries, 1, entries)
    } else {
        (sockets, cores, threads, vcpus)
    };
    set(facts, "processor_count", sockets);
    set(facts, "processor_cores", cores);
    set(facts, "processor_threads_per_core", threads);
    set(facts, "processor_vcpus", vcpus);
    set(facts, "processor_nproc", allowed);
}

impl Count {
    fn of(lines: &[String]) -> Self {
        let mut count = Self::default();
        let (mut physical, mut core) = (String::new(), String::new());
        for line in lines {
            let (key, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.trim();
            let number = value.parse::<i64>().unwrap_or(0);
            match key.trim() {
                "flags" => count.flags = value.split_whitespace().map(ToString::to_string).collect(),
                "physical id" => {
                    physical = value.to_string();
                    count.sockets.entry(physical.clone()).or_insert(1);
                }
                "core id" => {
                    core = value.to_string();
                    if !count.sockets.contains_key(&core) {
                        count.siblings.insert(core.clone(), 1);
                    }
                }
                "cpu cores" => {
                    count.sockets.insert(physical.clone(), number);
                }
                "siblings" => {
                    count.siblings.insert(core.clone(), number);
                }
                name => count.named(name, value),
            }
        }
        count
    }

    fn named(&mut self, name: &str, value: &str) {
        if ![
            "model name",
            "Processor",
            "vendor_id",
            "cpu",
            "Vendor",
            "processor",
        ]
        .contains(&name)
        {
            return;
        }
        self.list.push(value.to_string());
        self.entries += 1;
        match name {
            "vendor_id" => self.vendors += 1,
            "model name" => self.models += 1,
            "processor" => self.processors += 1,
            _ => {}
        }
    }

    /// How many processors there are, as far as the entries tell.
    fn entries(&self, architecture: &str) -> i64 {
        if ["armv", "aarch", "ppc"]
            .iter()
            .any(|prefix| architecture.starts_with(prefix))
        {
            return self.processors;
        }
        if self.vendors > 0 && self.vendors == self.models {
            self.vendors
        } else {
            self.entries
        }
    }

    /// Sockets, cores of a socket, threads of a core.
    fn topology(&self, entries: i64) -> (i64, i64, i64) {
        let sockets = i64::try_from(self.sockets.len()).unwrap_or(1);
        let sockets = if sockets == 0 { entries } else { sockets };
        let cores = self
            .sockets
            .values()
            .next()
            .copied()
            .filter(|cores| *cores > 0)
            .unwrap_or(1);
        let threads = self.siblings.values().next().copied().unwrap_or(1);
        (sockets, cores, rounded(threads, cores))
    }
}

/// Python's `round(a / b)`: halves go to the even neighbour.
fn rounded(a: i64, b: i64) -> i64 {
    let (quotient, remainder) = (a.div_euclid(b), a.rem_euclid(b));
    match (remainder * 2).cmp(&b) {
        std::cmp::Ordering::Less => quotient,
        std::cmp::Ordering::Greater => quotient + 1,
        std::cmp::Ordering::Equal => quotient + quotient % 2,
    }
}

/// The processors this process may run on, from a list such as `0-3,8`.
fn allowed(seen: &Seen) -> Option<i64> {
    let mut lines = seen.lines("proc/self/status").iter();
    let list = lines.find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let range = |part: &str| -> Option<i64> {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Some(to.trim().parse::<i64>().ok()? - from.trim().parse::<i64>().ok()? + 1)
    };
    list.trim().split(',').map(range).sum()
}

fn read_memory(seen: &Seen, facts: &mut Map) {
    if let Some(uptime) = seen.content("proc/uptime") {
        let seconds = uptime.split('.').next().and_then(|text| text.parse::<i64>().ok());
        set(facts, "uptime_seconds", seconds.unwrap_or(0));
    }
    let lines = seen.lines("proc/meminfo");
    let megabytes = |name: &str| -> Option<i64> {
        let rest = lines
            .iter()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(rest.split_whitespace().next()?.parse::<i64>().ok()? / 1024)
    };
    if lines.is_empty() {
        return;
    }
    for name in ["MemTotal", "MemFree", "SwapTotal", "SwapFree"] {
        if let Some(size) = megabytes(name) {
            set(facts, &format!("{}_mb", name.to_lowercase()), size);
        }
    }
    let (total, free) = (megabytes("MemTotal"), megabytes("MemFree"));
    let (swap, swap_free) = (megabytes("SwapTotal"), megabytes("SwapFree"));
    let unused = sum(&[megabytes("Cached"), free, megabytes("Buffers")]);
    let less = |a: Option<i64>, b: Option<i64>| Some(a? - b?);
    let part = |pairs: &[(&'static str, Option<i64>)]| {
        Value::map(
            pairs
                .iter()
                .map(|(name, size)| (*name, size.map_or(Value::Null, Value::Int))),
        )
    };
    let memory = Value::map([
        (
            "real",
            part(&[("total", total), ("used", less(total, free)), ("free", free)]),
        ),
        (
            "nocache",
            part(&[("free", unused), ("used", less(total, unused))]),
        ),
        (
            "swap",
            part(&[
                ("total", swap),
                ("free", swap_free),
                ("used", less(swap, swap_free)),
                ("cached", megabytes("SwapCached")),
            ]),
        ),
    ]);
    set(facts, "memory_mb", memory);
}

fn sum(parts: &[Option<i64>]) -> Option<i64> {
    parts.iter().copied().sum()
}

/// Facts and the files they are in.
const DMI_FACTS: &[(&str, &str)] = &[
    ("bios_date", "bios_date"),
    ("bios_vendor", "bios_vendor"),
    ("bios_version", "bios_version"),
    ("board_asset_tag", "board_asset_tag"),
    ("board_name", "board_name"),
    ("board_serial", "board_serial"),
    ("board_vendor", "board_vendor"),
    ("board_version", "board_version"),
    ("chassis_asset_tag", "chassis_asset_tag"),
    ("chassis_serial", "chassis_serial"),
    ("chassis_vendor", "chassis_vendor"),
    ("chassis_version", "chassis_version"),
    ("form_factor", "chassis_type"),
    ("product_name", "product_name"),
    ("product_serial", "product_serial"),
    ("product_uuid", "product_uuid"),
    ("product_version", "product_version"),
    ("system_vendor", "sys_vendor"),
];

/// The kinds of chassis in the SMBIOS specification, by number.
const CHASSIS: &[&str] = &[
    "Unknown",
    "Other",
    "Unknown",
    "Desktop",
    "Low Profile Desktop",
    "Pizza Box",
    "Mini Tower",
    "Tower",
    "Portable",
    "Laptop",
    "Notebook",
    "Hand Held",
    "Docking Station",
    "All In One",
    "Sub Notebook",
    "Space-saving",
    "Lunch Box",
    "Main Server Chassis",
    "Expansion Chassis",
    "Sub Chassis",
    "Bus Expansion Chassis",
    "Peripheral Chassis",
    "RAID Chassis",
    "Rack Mount Chassis",
    "Sealed-case PC",
    "Multi-system",
    "CompactPCI",
    "AdvancedTCA",
    "Blade",
    "Blade Enclosure",
    "Tablet",
    "Convertible",
    "Detachable",
    "IoT Gateway",
    "Embedded PC",
    "Mini PC",
    "Stick PC",
];

/// One of the firmware's files.
pub(super) fn dmi(seen: &Seen, file: &str) -> Option<String> {
    seen.content(&format!("sys/class/dmi/id/{file}"))
}

fn read_dmi(seen: &Seen, facts: &mut Map) {
    for (name, file) in DMI_FACTS {
        let value = dmi(seen, file).unwrap_or_else(|| "NA".to_string());
        let value = if *name == "form_factor" {
            chassis(&value)
        } else {
            value
        };
        set(facts, name, value);
    }
    // Reading volume groups takes locks and may wake disks; a fact is not worth that.
    set(facts, "lvm", "N/A");
}

fn chassis(number: &str) -> String {
    let Ok(at) = number.parse::<usize>() else {
        return number.to_string();
    };
    CHASSIS
        .get(at)
        .map_or_else(|| format!("unknown ({number})"), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_rounds_halves_to_even() {
        assert_eq!(
            [rounded(1, 2), rounded(3, 2), rounded(2, 1), rounded(5, 2)],
            [0, 2, 2, 2]
        );
    }
}
