//! Groups, from the databases that the host uses.

use super::account::entries;
use super::{Answered, Batch, Section, failure, lines};
use crate::host::question::{Answer, GroupEntry};

pub(super) struct Groups {
    pub names: Vec<String>,
}

impl Batch for Groups {
    fn script(&self, _mark: &str) -> String {
        entries("group", &self.names)
    }

    fn answers(&self, section: &Section, _mark: &str) -> Vec<Answered> {
        // Two: not all of them are there.
        if let Some(failure) = failure(section, "getent", 2, self.names.len()) {
            return failure;
        }
        let entries: Vec<GroupEntry> = lines(section).iter().filter_map(|line| parse(line)).collect();
        let find = |name: &String| {
            let by_name = entries.iter().find(|entry| entry.name == *name);
            let by_number = || entries.iter().find(|entry| entry.gid.to_string() == *name);
            Ok(Answer::Group(by_name.or_else(by_number).cloned()))
        };
        self.names.iter().map(find).collect()
    }
}

fn parse(line: &str) -> Option<GroupEntry> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let _password = fields.next()?;
    let gid = fields.next()?.parse().ok()?;
    let members = fields.next().unwrap_or_default();
    Some(GroupEntry {
        name,
        gid,
        members: members
            .split(',')
            .filter(|member| !member.is_empty())
            .map(str::to_owned)
            .collect(),
    })
}
