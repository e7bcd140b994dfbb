//! "Did you mean …": the closest of some names, if one is close enough.

use std::path::Path;

/// The candidate with the smallest edit distance, at most a third of the word's length away.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|c| (distance(word, c), c))
        // A word of one letter is near to everything.
        .filter(|(d, c)| *d <= limit && *d < word.chars().count() && *c != word)
        .min()
        .map(|(_, c)| c)
}

/// The file beside a missing one whose name is closest to it, as the missing one was written.
pub fn nearest_file(missing: &Path, written: &str) -> Option<String> {
    let folder = missing.parent().filter(|folder| !folder.as_os_str().is_empty());
    let entries = std::fs::read_dir(folder.unwrap_or(Path::new("."))).ok()?;
    let names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let wanted = missing.file_name()?.to_string_lossy();
    let near = nearest(&wanted, names.iter().map(String::as_str))?;
    Some(Path::new(written).with_file_name(near).display().to_string())
}

/// Edits between two words, a swap of neighbours counting as one.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().flat_map(char::to_lowercase).collect();
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).collect();
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1)
                .min(row[j - 1] + 1)
                .min(rows[i - 1][j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_swapped_pair_and_refuses_strangers() {
        assert_eq!(nearest("stae", ["state", "path"]), Some("state"));
        assert_eq!(nearest("tasls", ["tasks", "hosts"]), Some("tasks"));
        assert_eq!(nearest("zebra", ["state", "path"]), None);
    }
}
