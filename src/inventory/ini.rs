//! Inventories in Ansible's own kind of INI: hosts with `name=value`, `[group]`, `[group:vars]`,
//! `[group:children]`.

use std::sync::Arc;

use indexmap::IndexMap;

use super::members::UNGROUPED;
use super::sources::Reading;
use super::{literal, words};
use crate::source::{Diagnostic, Source, Span, nearest};
use crate::vars::Key;

pub(super) fn read(reading: &mut Reading<'_>, source: &Arc<Source>) -> Result<(), Diagnostic> {
    let mut file = File {
        reading,
        section: Section {
            group: UNGROUPED.into(),
            kind: Kind::Hosts,
        },
        waiting: IndexMap::new(),
    };
    for line in lines(source) {
        file.line(&line)?;
    }
    file.finish()
}

/// The lines that say something, without the white space around them.
fn lines(source: &Arc<Source>) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut start = 0;
    for line in source.text.split_inclusive('\n') {
        let end = start + line.len();
        let text = line.trim_start_matches('\u{feff}').trim_start();
        let text_start = end - text.len();
        let text = text.trim_end();
        if !text.is_empty() && !text.starts_with(['#', ';']) {
            spans.push(Span::new(source, text_start, text_start + text.len()));
        }
        start = end;
    }
    spans
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Hosts,
    Children,
    Vars,
}

struct Section {
    group: Arc<str>,
    kind: Kind,
}

/// A group that was spoken of but has no section of its own yet.
#[derive(Default)]
struct Waiting {
    /// `[group:vars]` came first.
    vars: Option<Span>,
    /// The groups that want it as a child.
    parents: Vec<(Arc<str>, Span)>,
}

struct File<'a, 'b> {
    reading: &'a mut Reading<'b>,
    section: Section,
    waiting: IndexMap<Arc<str>, Waiting>,
}

impl File<'_, '_> {
    fn line(&mut self, line: &Span) -> Result<(), Diagnostic> {
        if let Some((group, kind)) = header(line)? {
            return self.open(&group, kind);
        }
        match self.section.kind {
            Kind::Hosts => self.host(line),
            Kind::Children => self.child(line),
            Kind::Vars => self.variable(line),
        }
    }

    fn open(&mut self, group: &Span, kind: Kind) -> Result<(), Diagnostic> {
        let name = group.text();
        self.reading.check_group_name(group);
        let new = !self.reading.members.groups.contains_key(name);
        let name = self.reading.members.add_group(name);
        if kind == Kind::Vars {
            if new && !self.waiting.contains_key(&name) {
                let waiting = Waiting {
                    vars: Some(group.clone()),
                    ..Waiting::default()
                };
                self.waiting.insert(name.clone(), waiting);
            }
        } else if let Some(waiting) = self.waiting.shift_remove(&name) {
            for (parent, at) in waiting.parents {
                self.reading.members.add_child(&parent, &name, Some(&at))?;
            }
        }
        self.section = Section { group: name, kind };
        Ok(())
    }

    fn host(&mut self, line: &Span) -> Result<(), Diagnostic> {
        let words = words::split(line.text()).map_err(|at| unended(&line.part(at, at + 1)))?;
        let Some((name, variables)) = words.split_first() else {
            return Ok(());
        };
        let at = line.part(name.place.start, name.place.end);
        check_host_name(&name.text, &at)?;
        let hosts = self.reading.add_hosts(&name.text, &self.section.group, &at)?;
        for word in variables {
            let at = line.part(word.place.start, word.place.end);
            let Some((key, value)) = word.text.split_once('=') else {
                return Err(not_an_assignment(&word.text, &at));
            };
            let value = literal::value(value, &value_place(&at));
            for host in &hosts {
                self.reading.members.set_host_var(host, key, value.clone());
            }
        }
        Ok(())
    }

    fn child(&mut self, line: &Span) -> Result<(), Diagnostic> {
        let text = line.text();
        let end = text
            .find(|c: char| c.is_whitespace() || matches!(c, ':' | ']'))
            .unwrap_or(text.len());
        let rest = text[end..].trim_start();
        if end == 0 || !(rest.is_empty() || rest.starts_with('#')) {
            return Err(
                Diagnostic::error("expected the name of a group, and nothing else on the line")
                    .at(line)
                    .help("`[group:children]` lists groups; hosts belong under `[group]`"),
            );
        }
        let at = line.part(0, end);
        let child = at.text();
        if self.reading.members.groups.contains_key(child) {
            return self
                .reading
                .members
                .add_child(&self.section.group, child, Some(&at))
                .map(drop);
        }
        let waiting = self.waiting.entry(child.into()).or_default();
        waiting.parents.push((self.section.group.clone(), at));
        Ok(())
    }

    fn variable(&mut self, line: &Span) -> Result<(), Diagnostic> {
        let Some(equals) = line.text().find('=') else {
            return Err(Diagnostic::error(format!(
                "expected `name=value` in `[{}:vars]`",
                self.section.group
            ))
            .at(line)
            .help("hosts belong under `[group]`, groups under `[group:children]`"));
        };
        let name = line.text()[..equals].trim();
        let text = line.text()[equals + 1..].trim();
        let at = Span::new(&line.source, line.end - text.len(), line.end);
        let value = literal::value(text, &at);
        self.reading
            .members
            .set_group_var(&self.section.group, Key::from(name), value, &at)
    }

    fn finish(self) -> Result<(), Diagnostic> {
        let Some((name, waiting)) = self.waiting.first() else {
            return Ok(());
        };
        let known = self.reading.members.groups.keys().map(|g| &**g);
        let near = nearest(name, known.filter(|g| *g != &**name));
        let error = match (&waiting.vars, waiting.parents.first()) {
            (_, Some((parent, at))) => Diagnostic::error(format!(
                "the group `{name}`, a child of `{parent}`, is not in this file"
            ))
            .at(at),
            (Some(at), None) => Diagnostic::error(format!(
                "variables for the group `{name}`, which is not in this file"
            ))
            .at(at),
            (None, None) => return Ok(()),
        };
        Err(match near {
            Some(near) => error.did_you_mean(Some(near)),
            None => error.help(format!("a line `[{name}]` makes it, also without hosts")),
        })
    }
}

/// `[group]` or `[group:kind]`, perhaps with a comment behind it; `None` for any other line.
fn header(line: &Span) -> Result<Option<(Span, Kind)>, Diagnostic> {
    let text = line.text();
    let Some(inner) = text.strip_prefix('[') else {
        return Ok(None);
    };
    let Some(close) = inner.find(']') else {
        return Err(Diagnostic::error("a section without its `]`").at(line));
    };
    let after = inner[close + 1..].trim_start();
    if !after.is_empty() && !after.starts_with('#') {
        return Ok(None);
    }
    let title = line.part(1, 1 + close);
    let (name, kind) = match title.text().split_once(':') {
        Some((name, kind)) => (name, Some(kind)),
        None => (title.text(), None),
    };
    if name.is_empty() || title.text().contains(char::is_whitespace) {
        return Err(
            Diagnostic::error("a section's name has no spaces and is not empty")
                .at(&title)
                .help("write `[group]`, `[group:vars]` or `[group:children]`"),
        );
    }
    let group = title.part(0, name.len());
    match kind {
        None | Some("hosts") => Ok(Some((group, Kind::Hosts))),
        Some("children") => Ok(Some((group, Kind::Children))),
        Some("vars") => Ok(Some((group, Kind::Vars))),
        Some(kind) => Err(unknown_kind(kind, &title)),
    }
}

fn unknown_kind(kind: &str, title: &Span) -> Diagnostic {
    let at = title.part(title.text().len() - kind.len(), title.text().len());
    let error = Diagnostic::error(format!("`{kind}` is no kind of section")).at(&at);
    match nearest(kind, ["hosts", "children", "vars"]) {
        Some(near) => error.did_you_mean(Some(near)),
        None => error.help("a section holds `hosts`, `children` or `vars`"),
    }
}

fn check_host_name(name: &str, at: &Span) -> Result<(), Diagnostic> {
    if name == "---" {
        return Err(Diagnostic::error("this is YAML, but the file is read as INI")
            .at(at)
            .help("give the file the ending `.yml`"));
    }
    if name.ends_with(':') {
        return Err(
            Diagnostic::error(format!("`{name}` is not a host: a port should follow the colon"))
                .at(at)
                .help("if this is a YAML inventory, give the file the ending `.yml`"),
        );
    }
    Ok(())
}

fn unended(at: &Span) -> Diagnostic {
    if at.text() == "\\" {
        return Diagnostic::error("nothing follows this backslash")
            .at(at)
            .help("a backslash in a value is written twice");
    }
    Diagnostic::error("this quote is never closed").at(at).help(
        "close it on the same line; a quote that is part of the value goes into the other kind of quotes",
    )
}

fn not_an_assignment(word: &str, at: &Span) -> Diagnostic {
    Diagnostic::error(format!("expected `name=value` after the host, found `{word}`"))
        .at(at)
        .help("one host stands on a line; a value with spaces needs quotes: name='a b'")
}

/// What follows the `=`.
fn value_place(word: &Span) -> Span {
    match word.text().find('=') {
        Some(equals) => word.part(equals + 1, word.text().len()),
        None => word.clone(),
    }
}
