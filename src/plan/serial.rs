//! `serial`: the hosts of a play in batches.

use std::sync::Arc;

use crate::source::Diagnostic;
use crate::vars::Value;

/// Batches by a number of hosts, a percentage, or a list of those, whose last counts for all that are left.
pub fn batches(serial: &Value, hosts: &[Arc<str>]) -> Result<Vec<Vec<Arc<str>>>, Diagnostic> {
    let sizes = match serial {
        Value::List(items) => items.to_vec(),
        other => vec![other.clone()],
    };
    let mut rest = hosts;
    let mut batches = Vec::new();
    while !rest.is_empty() {
        let size = sizes.get(batches.len()).or(sizes.last()).unwrap_or(&Value::Null);
        let count = match count(size, hosts.len())? {
            0 => rest.len(),
            count => count.min(rest.len()),
        };
        let (batch, behind) = rest.split_at(count);
        batches.push(batch.to_vec());
        rest = behind;
    }
    Ok(batches)
}

/// How many hosts a size means; 0: all.
fn count(size: &Value, all: usize) -> Result<usize, Diagnostic> {
    let text = match size {
        Value::Int(n) => n.to_string(),
        Value::String(text) => text.trim().to_string(),
        _ => String::new(),
    };
    let number = |text: &str| {
        text.trim().parse::<usize>().map_err(|_| {
            Diagnostic::error(format!(
                "`serial` is a number of hosts or a percentage, not `{text}`"
            ))
        })
    };
    match text.strip_suffix('%') {
        Some(percent) => Ok((all * number(percent)? / 100).max(1)),
        None => number(&text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_numbers_and_percentages() {
        let hosts: Vec<Arc<str>> = ["a", "b", "c", "d", "e"].map(Arc::from).to_vec();
        let sizes = |serial: Value| -> Vec<usize> {
            batches(&serial, &hosts).unwrap().iter().map(Vec::len).collect()
        };
        assert_eq!(sizes(2.into()), [2, 2, 1]);
        assert_eq!(sizes("40%".into()), [2, 2, 1]);
        assert_eq!(sizes("1%".into()), [1; 5]);
        assert_eq!(sizes(0.into()), [5]);
        assert_eq!(sizes(Value::list([1.into(), 3.into()])), [1, 3, 1]);
        assert!(batches(&"few".into(), &hosts).is_err());
    }
}
