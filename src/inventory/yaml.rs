//! Inventories in YAML, and in JSON, which is YAML: groups with `hosts`, `children` and `vars`.

use std::sync::Arc;

use super::sources::Reading;
use crate::source::{Diagnostic, Span, nearest};
use crate::yaml::{Kind, Node};

const SECTIONS: [&str; 3] = ["hosts", "children", "vars"];

/// Whether this can be an inventory at all; else it is tried as INI.
pub(super) fn is_inventory(root: &Node) -> bool {
    root.as_map().is_some_and(|groups| !groups.is_empty())
}

pub(super) fn read(reading: &mut Reading<'_>, root: &Node) -> Result<(), Diagnostic> {
    if let Some(plugin) = root.get("plugin").filter(|p| p.text().is_some()) {
        let name = plugin.text().unwrap_or_default();
        return Err(
            Diagnostic::error(format!("the inventory plugin `{name}` is not supported yet"))
                .at(&plugin.span)
                .help("write its result into a file: `ansible-inventory --list --yaml --output hosts.yml`"),
        );
    }
    for (name, data) in root.as_map().unwrap_or_default() {
        group(reading, name, data)?;
    }
    Ok(())
}

/// The group's name, if it is a group.
fn group(reading: &mut Reading<'_>, name: &Node, data: &Node) -> Result<Option<Arc<str>>, Diagnostic> {
    let text = group_name(name)?;
    if data.is_null() {
        reading.check_group_name(&name.span);
        return Ok(Some(reading.members.add_group(text)));
    }
    let Some(sections) = data.as_map() else {
        let warning = Diagnostic::warning(format!(
            "`{text}` is skipped: a group is a mapping, but this is {}",
            data.what()
        ));
        reading.warnings.push(warning.at(&data.span));
        return Ok(None);
    };
    reading.check_group_name(&name.span);
    let group = reading.members.add_group(text);
    for (key, value) in sections {
        section(reading, &group, key, value)?;
    }
    Ok(Some(group))
}

fn section(reading: &mut Reading<'_>, group: &Arc<str>, key: &Node, value: &Node) -> Result<(), Diagnostic> {
    let name = key.text().unwrap_or_default();
    if !SECTIONS.contains(&name) {
        reading.warnings.push(unknown_key(group, name, &key.span));
        return Ok(());
    }
    if value.is_null() {
        return Ok(());
    }
    match (name, &value.kind) {
        ("hosts", Kind::Map(hosts)) => hosts
            .iter()
            .try_for_each(|(h, vars)| host(reading, group, h, Some(vars))),
        ("hosts", Kind::String(_)) => host(reading, group, value, None),
        ("children", Kind::Map(children)) => children
            .iter()
            .try_for_each(|(name, data)| child(reading, group, name, data)),
        ("children", Kind::String(name)) => {
            let child = reading.members.add_group(name);
            reading
                .members
                .add_child(group, &child, Some(&value.span))
                .map(drop)
        }
        ("vars", Kind::Map(vars)) => vars.iter().try_for_each(|(name, value)| {
            reading
                .members
                .set_group_var(group, name.key(), value.value(), &value.span)
        }),
        _ => Err(not_a_mapping(group, name, value)),
    }
}

fn child(reading: &mut Reading<'_>, parent: &Arc<str>, name: &Node, data: &Node) -> Result<(), Diagnostic> {
    let Some(child) = group(reading, name, data)? else {
        return Ok(());
    };
    reading
        .members
        .add_child(parent, &child, Some(&name.span))
        .map(drop)
}

fn host(
    reading: &mut Reading<'_>,
    group: &Arc<str>,
    name: &Node,
    vars: Option<&Node>,
) -> Result<(), Diagnostic> {
    let Kind::String(text) = &name.kind else {
        return Err(
            Diagnostic::error(format!("a host's name is a string, but this is {}", name.what()))
                .at(&name.span)
                .help(format!("put it in quotes: '{}'", name.text().unwrap_or_default())),
        );
    };
    let hosts = reading.add_hosts(text, group, &name.span)?;
    let Some(vars) = vars.filter(|v| v.value().is_true()) else {
        return Ok(());
    };
    let Some(pairs) = vars.as_map() else {
        return Err(Diagnostic::error(format!(
            "a host's variables are a mapping, but this is {}",
            vars.what()
        ))
        .at(&vars.span)
        .help(match vars.text() {
            Some(address) => format!("write `{text}: {{ansible_host: {address}}}`"),
            None => "write each as `name: value` below the host".to_string(),
        }));
    };
    for (name, value) in pairs {
        let (name, value) = (name.key(), value.value());
        for host in &hosts {
            reading.members.set_host_var(host, name.clone(), value.clone());
        }
    }
    Ok(())
}

fn group_name(name: &Node) -> Result<&str, Diagnostic> {
    match &name.kind {
        Kind::String(text) if !text.is_empty() => Ok(text),
        Kind::String(_) => Err(Diagnostic::error("a group's name is empty").at(&name.span)),
        _ => Err(
            Diagnostic::error(format!("a group's name is a string, but this is {}", name.what()))
                .at(&name.span)
                .help(format!("put it in quotes: '{}'", name.text().unwrap_or_default())),
        ),
    }
}

fn unknown_key(group: &str, key: &str, at: &Span) -> Diagnostic {
    let warning = Diagnostic::warning(format!(
        "`{key}` in the group `{group}` is skipped: a group has only `hosts`, `children` and `vars`"
    ))
    .at(at);
    match nearest(key, SECTIONS) {
        Some(near) => warning.did_you_mean(Some(near)),
        None => warning.help(format!("if `{key}` is a group, it belongs under `children:`")),
    }
}

fn not_a_mapping(group: &str, section: &str, value: &Node) -> Diagnostic {
    let error = Diagnostic::error(format!(
        "`{section}` of the group `{group}` is a mapping, but this is {}",
        value.what()
    ))
    .at(&value.span);
    let first = value.as_list().and_then(<[Node]>::first);
    match (section, first.and_then(Node::text)) {
        ("vars", _) => error.help("write each as `name: value`"),
        (_, Some(name)) => error.help(format!("write `{name}:` instead of `- {name}`")),
        _ => error.help("write each as `name:`"),
    }
}
