//! Users, from the databases that the host uses.

use super::{Answered, Batch, Section, failure, lines, operands};
use crate::host::question::{AccountEntry, Answer};

pub(super) struct Accounts {
    pub names: Vec<String>,
}

impl Batch for Accounts {
    fn script(&self, _mark: &str) -> String {
        entries("passwd", &self.names)
    }

    fn answers(&self, section: &Section, _mark: &str) -> Vec<Answered> {
        // Two: not all of them are there.
        if let Some(failure) = failure(section, "getent", 2, self.names.len()) {
            return failure;
        }
        let entries: Vec<AccountEntry> = lines(section).iter().filter_map(|line| parse(line)).collect();
        let find = |name: &String| {
            let by_name = entries.iter().find(|entry| entry.name == *name);
            let by_number = || entries.iter().find(|entry| entry.uid.to_string() == *name);
            Ok(Answer::Account(by_name.or_else(by_number).cloned()))
        };
        self.names.iter().map(find).collect()
    }
}

/// The entries that a database has of these names; all entries of the file where there is no `getent`.
pub(super) fn entries(database: &str, names: &[String]) -> String {
    format!(
        "if command -v getent >/dev/null; then getent {database} {}; else \
         while IFS= read -r _l; do printf '%s\\n' \"$_l\"; done </etc/{database}; fi",
        operands(names)
    )
}

fn parse(line: &str) -> Option<AccountEntry> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let _password = fields.next()?;
    Some(AccountEntry {
        name,
        uid: fields.next()?.parse().ok()?,
        gid: fields.next()?.parse().ok()?,
        comment: fields.next()?.to_owned(),
        home: fields.next()?.to_owned(),
        shell: fields.next().unwrap_or_default().to_owned(),
    })
}
