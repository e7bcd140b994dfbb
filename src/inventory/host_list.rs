//! Hosts given on the command line: `-i 'a,b,'`.

use super::address;
use super::members::UNGROUPED;
use super::sources::Reading;
use crate::vars::Value;

/// A comma makes a list, unless there is a file of that name.
pub(super) fn is_list(source: &str) -> bool {
    source.contains(',')
}

pub(super) fn read(reading: &mut Reading<'_>, text: &str) {
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let (host, port) = match address::with_port(part) {
            // Ranges are for files.
            (host, _) if host.contains('[') => (part, None),
            found => found,
        };
        if !reading.members.add_host(host, Some(&reading.file)) {
            continue;
        }
        reading.members.join(host, UNGROUPED);
        if let Some(port) = port {
            reading
                .members
                .set_host_var(host, "ansible_port", Value::Int(port));
        }
    }
}
