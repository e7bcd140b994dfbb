//! The kernel's command line, and how busy the machine is.

use super::{FAMILY, Family, Seen, set};
use crate::vars::{Key, Map, Value};

pub(super) const CMDLINE: Family = Family {
    name: "cmdline",
    minimal: true,
    files: &["proc/cmdline"],
    read: read_cmdline,
    ..FAMILY
};

pub(super) const LOADAVG: Family = Family {
    name: "loadavg",
    files: &["proc/loadavg"],
    read: read_loadavg,
    ..FAMILY
};

fn read_cmdline(seen: &Seen, facts: &mut Map) {
    let Some(line) = seen.content("proc/cmdline") else {
        return;
    };
    let (mut last, mut all) = (Map::new(), Map::new());
    for word in words(&line) {
        let Some((name, value)) = word.split_once('=') else {
            set(&mut last, &word, true);
            set(&mut all, &word, true);
            continue;
        };
        set(&mut last, name, value);
        let value = match all.get(name) {
            Some(Value::List(values)) => {
                Value::list(values.iter().cloned().chain(std::iter::once(Value::from(value))))
            }
            Some(first) => Value::list([first.clone(), Value::from(value)]),
            None => Value::from(value),
        };
        all.insert(Key::from(name), value);
    }
    set(facts, "cmdline", last);
    set(facts, "proc_cmdline", all);
}

/// Split at blanks outside double quotes; the quotes stay.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        quoted ^= c == '"';
        if c.is_whitespace() && !quoted {
            words.push(String::new());
        } else if let Some(word) = words.last_mut() {
            word.push(c);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn read_loadavg(seen: &Seen, facts: &mut Map) {
    let Some(text) = seen.content("proc/loadavg") else {
        return;
    };
    let mut numbers = text
        .split_whitespace()
        .filter_map(|word| word.parse::<f64>().ok());
    if let (Some(one), Some(five), Some(fifteen)) = (numbers.next(), numbers.next(), numbers.next()) {
        let pairs = [("1m", one), ("5m", five), ("15m", fifteen)];
        set(
            facts,
            "loadavg",
            Value::map(pairs.map(|(name, number)| (name, Value::Float(number)))),
        );
    }
}
