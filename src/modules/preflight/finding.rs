//! Something that would keep Kubernetes from working.

use crate::vars::Value;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was found, in a sentence without its end.
    pub what: String,
    /// The file, the interface, the unit.
    pub place: String,
    pub why: &'static str,
    pub fix: String,
    /// The task that mends it, with its role before it; `None`: a person must.
    pub task: Option<&'static str>,
}

impl Finding {
    pub fn text(&self) -> String {
        let Self {
            what,
            place,
            why,
            fix,
            ..
        } = self;
        let task = self.task.map_or("nothing here mends it".to_string(), |task| {
            format!("`{task}` of deploy mends it")
        });
        format!("{what} ({place})\n  why: {why}\n  fix: {fix}; {task}")
    }

    pub fn value(&self, check: &str) -> Value {
        Value::map([
            ("check", Value::from(check)),
            ("what", self.what.as_str().into()),
            ("where", self.place.as_str().into()),
            ("why", self.why.into()),
            ("fix", self.fix.as_str().into()),
            ("task", self.task.unwrap_or_default().into()),
        ])
    }
}
