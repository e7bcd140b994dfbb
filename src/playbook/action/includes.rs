//! `include_tasks`, `include_role` and their static kin: the file or role that they name.

use std::sync::Arc;

use super::free_form::{Word, unquoted, words};
use crate::playbook::keywords::{self, Keywords, Written};
use crate::source::{Diagnostic, Span};
use crate::yaml::{Kind, Node};

#[derive(Debug)]
pub struct IncludeTasks {
    pub file: Written,
    pub apply: Keywords,
}

#[derive(Debug)]
pub struct IncludeRole {
    pub name: Written,
    pub tasks_from: Option<Written>,
    pub vars_from: Option<Written>,
    pub defaults_from: Option<Written>,
    pub handlers_from: Option<Written>,
    pub public: Option<Written>,
    pub apply: Keywords,
}

/// The file of an import or include, and `apply`.
pub(super) fn file_option(value: &Node, args: Option<&Node>) -> Result<(Written, Keywords), Diagnostic> {
    let mut apply = Keywords::default();
    let mut file = None;
    let mut take = |pairs: &[(Node, Node)]| -> Result<(), Diagnostic> {
        for (k, v) in pairs {
            match k.text() {
                Some("file" | "_raw_params") => file = Some(Written::of(v)),
                Some("apply") => apply = applied(v)?,
                _ => {
                    return Err(Diagnostic::error(format!(
                        "an include has no option `{}`",
                        k.text().unwrap_or_default()
                    ))
                    .at(&k.span)
                    .help("its options are file, apply; variables for it go into `vars:`"));
                }
            }
        }
        Ok(())
    };
    match value.as_map() {
        Some(pairs) => take(pairs)?,
        None if value.text().is_some_and(|t| !t.is_empty()) => {}
        None => return Err(Diagnostic::error("which file is to be included?").at(&value.span)),
    }
    if let Some(pairs) = args.and_then(Node::as_map) {
        take(pairs)?;
    }
    if value.as_map().is_none() {
        file = Some(Written::of(value));
    }
    let file = file.ok_or_else(|| Diagnostic::error("which file is to be included?").at(&value.span))?;
    Ok((file, apply))
}

fn applied(node: &Node) -> Result<Keywords, Diagnostic> {
    let mut all = Keywords::default();
    for (k, v) in node.as_map().unwrap_or_default() {
        if !keywords::read(&mut all, k, v)? {
            return Err(keywords::unknown(k, "`apply`", &[]));
        }
    }
    Ok(all)
}

/// The options of `import_role` and `include_role` as one mapping: below the name, behind it as `name=role`, and
/// those of `args`, which those of the task itself win over.
pub(super) fn role_options(value: &Node, args: Option<&Node>) -> Result<Node, Diagnostic> {
    let mut pairs = match value.as_map() {
        Some(pairs) => pairs.to_vec(),
        None => words(value.text().unwrap_or_default())
            .iter()
            .map(|word| role_option(value, word))
            .collect::<Result<_, _>>()?,
    };
    for (key, value) in args.and_then(Node::as_map).unwrap_or_default() {
        if pairs.iter().all(|(k, _)| k.text() != key.text()) {
            pairs.push((key.clone(), value.clone()));
        }
    }
    if pairs.is_empty() {
        return Err(Diagnostic::error("which role? `name:` is missing").at(&value.span));
    }
    Ok(Node {
        kind: Kind::Map(Arc::new(pairs)),
        span: value.span.clone(),
    })
}

/// `name=role` behind `import_role:`.
fn role_option(value: &Node, word: &Word) -> Result<(Node, Node), Diagnostic> {
    let span = value.span.part(word.start, word.end);
    let Some((name, text)) = word.text.split_once('=') else {
        return Err(Diagnostic::error(format!(
            "a role include takes `option=value`, but `{}` has no `=`",
            word.text
        ))
        .at(&span)
        .help("write `name:` below it"));
    };
    let node = |text: &str, span: &Span| Node {
        kind: Kind::String(text.into()),
        span: span.clone(),
    };
    let behind = value.span.part(word.start + name.len() + 1, word.end);
    Ok((node(name, &span), node(unquoted(text), &behind)))
}

pub(super) fn include_role(options: &Node) -> Result<IncludeRole, Diagnostic> {
    let mut include = IncludeRole {
        name: role_name(options)?,
        tasks_from: None,
        vars_from: None,
        defaults_from: None,
        handlers_from: None,
        public: None,
        apply: Keywords::default(),
    };
    for (k, v) in options.as_map().unwrap_or_default() {
        match k.text() {
            Some("name" | "role") => {}
            Some("tasks_from") => include.tasks_from = Some(Written::of(v)),
            Some("vars_from") => include.vars_from = Some(Written::of(v)),
            Some("defaults_from") => include.defaults_from = Some(Written::of(v)),
            Some("handlers_from") => include.handlers_from = Some(Written::of(v)),
            Some("public") => include.public = Some(Written::of(v)),
            Some("apply") => include.apply = applied(v)?,
            Some("allow_duplicates" | "rolespec_validate") => {}
            _ => return Err(unknown_role_option(k)),
        }
    }
    Ok(include)
}

pub(in crate::playbook) fn unknown_role_option(key: &Node) -> Diagnostic {
    Diagnostic::error(format!("a role include has no option `{}`", key.text().unwrap_or_default()))
        .at(&key.span)
        .help("its options are name, tasks_from, vars_from, defaults_from, handlers_from, public, apply; variables for the role go into `vars:`")
}

pub(in crate::playbook) fn role_name(options: &Node) -> Result<Written, Diagnostic> {
    options
        .get("name")
        .or_else(|| options.get("role"))
        .map(Written::of)
        .ok_or_else(|| Diagnostic::error("which role? `name:` is missing").at(&options.span))
}
