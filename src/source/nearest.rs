//! "Did you mean …": the closest of some names, if one is close enough.

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
