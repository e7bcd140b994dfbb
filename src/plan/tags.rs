//! Which tasks the tags let run.

/// What `--tags` and `--skip-tags` say.
#[derive(Debug, Clone, Copy)]
pub struct Tags<'a> {
    pub wanted: &'a [String],
    pub skipped: &'a [String],
}

impl Tags<'_> {
    /// Whether a task with these tags runs.
    pub fn select(&self, tags: &[String]) -> bool {
        let has = |name: &str| tags.iter().any(|t| t == name);
        let named = |wanted: &String| match wanted.as_str() {
            "all" => !has("never"),
            "tagged" => !tags.is_empty() && !has("never"),
            "untagged" => tags.is_empty(),
            name => has(name),
        };
        let wanted = if self.wanted.is_empty() {
            !has("never")
        } else {
            self.wanted.iter().any(named) || has("always")
        };
        let skipped = self.skipped.iter().any(|s| match s.as_str() {
            "all" => !has("always"),
            "tagged" => !tags.is_empty(),
            "untagged" => tags.is_empty(),
            name => has(name),
        });
        wanted && !skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(wanted: &[&str], skipped: &[&str], tags: &[&str]) -> bool {
        let own = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (wanted, skipped) = (own(wanted), own(skipped));
        let all = Tags {
            wanted: &wanted,
            skipped: &skipped,
        };
        all.select(&own(tags))
    }

    #[test]
    fn always_and_never_mean_themselves() {
        assert!(select(&[], &[], &[]));
        assert!(!select(&[], &[], &["never"]));
        assert!(select(&["x"], &[], &["never", "x"]));
        assert!(!select(&["x"], &[], &["y"]));
        assert!(select(&["x"], &[], &["always"]));
        assert!(!select(&["x"], &["always"], &["always"]));
        assert!(!select(&["untagged"], &[], &["y"]));
        assert!(select(&["tagged"], &["z"], &["y"]));
    }
}
