//! What a task does: a module with its arguments, or one of the few things that are no modules.

use std::sync::Arc;

use super::Sets;
use super::keywords::{self, Keywords, Written};
use super::loader::{Catalogue, Signature};
use crate::source::{Diagnostic, Span, nearest};
use crate::vars::Value;
use crate::yaml::{Kind, Node};

#[expect(
    clippy::large_enum_variant,
    reason = "one for each task, nearly all of them the large one"
)]
#[derive(Debug)]
pub enum Action {
    Module {
        signature: Signature,
        arguments: Vec<WrittenArgument>,
        /// `args: "{{ mapping }}"`: further arguments, known when it runs.
        more: Option<Written>,
        span: Span,
    },
    Meta(Meta),
    IncludeTasks(IncludeTasks),
    IncludeRole(IncludeRole),
}

/// One option as the task writes it.
#[derive(Debug, Clone)]
pub struct WrittenArgument {
    pub name: Arc<str>,
    pub value: Value,
    pub name_span: Span,
    pub value_span: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meta {
    Noop,
    FlushHandlers,
    EndPlay,
    EndHost,
    EndBatch,
    EndRole,
    ClearFacts,
    ClearHostErrors,
    ResetConnection,
    RefreshInventory,
}

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

impl Action {
    pub fn name(&self) -> &str {
        match self {
            Self::Module { signature, .. } => signature.name,
            Self::Meta(_) => "meta",
            Self::IncludeTasks(_) => "include_tasks",
            Self::IncludeRole(_) => "include_role",
        }
    }

    /// Where the value of an option stands.
    pub fn argument(&self, name: &str) -> Option<&Span> {
        let Self::Module { arguments, .. } = self else {
            return None;
        };
        let found = arguments.iter().find(|a| &*a.name == name)?;
        Some(&found.value_span)
    }

    /// The arguments as they are written, in one short line.
    pub(super) fn arguments_in_short(&self) -> Option<String> {
        const LONGEST: usize = 70;
        let text = match self {
            // What it says follows anyway.
            Self::Module { signature, .. } if signature.name == "debug" => return None,
            Self::Module {
                signature, arguments, ..
            } => in_short(arguments, signature.free_form),
            Self::IncludeTasks(include) => written_text(&include.file.value),
            Self::IncludeRole(include) => written_text(&include.name.value),
            Self::Meta(_) => return None,
        };
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.is_empty() {
            return None;
        }
        if line.chars().count() <= LONGEST {
            return Some(line);
        }
        Some(line.chars().take(LONGEST).chain(['…']).collect())
    }

    /// Whether it runs once for all hosts by its nature.
    pub fn runs_once(&self) -> bool {
        match self {
            Self::Module { signature, .. } => signature.once,
            // These are about the play: the first host decides.
            Self::Meta(meta) => matches!(
                meta,
                Meta::EndPlay
                    | Meta::EndBatch
                    | Meta::ClearFacts
                    | Meta::ClearHostErrors
                    | Meta::RefreshInventory
            ),
            Self::IncludeTasks(_) | Self::IncludeRole(_) => false,
        }
    }

    pub(super) fn sets(&self) -> Sets {
        match self {
            Self::Module {
                signature,
                arguments,
                more,
                ..
            } if signature.name == "set_fact" => {
                if more.is_some() {
                    return Sets::Anything;
                }
                Sets::Names(arguments.iter().map(|a| a.name.clone()).collect())
            }
            Self::Module { signature, .. } if signature.facts => Sets::Facts,
            Self::Module { .. } | Self::Meta(_) | Self::IncludeTasks(_) => Sets::Nothing,
            Self::IncludeRole(_) => Sets::Anything,
        }
    }
}

/// A free form stands for itself, other options behind their names.
fn in_short(arguments: &[WrittenArgument], free_form: Option<&str>) -> String {
    let words = arguments.iter().map(|a| match &*a.name {
        name if Some(name) == free_form => written_text(&a.value),
        name => format!("{name}={}", written_text(&a.value)),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn written_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_string(),
        Value::Template(template) => template.text.to_string(),
        other => serde_json::to_string(other).unwrap_or_default(),
    }
}

/// The part of a task that says what to do.
#[expect(clippy::large_enum_variant, reason = "lives for one call")]
pub(super) enum Found {
    Action(Action),
    ImportTasks(Written),
    ImportRole(Node),
}

const IMPORT_TASKS: &[&str] = &[
    "import_tasks",
    "ansible.builtin.import_tasks",
    "ansible.legacy.import_tasks",
];
const IMPORT_ROLE: &[&str] = &[
    "import_role",
    "ansible.builtin.import_role",
    "ansible.legacy.import_role",
];
const INCLUDE_TASKS: &[&str] = &[
    "include_tasks",
    "ansible.builtin.include_tasks",
    "ansible.legacy.include_tasks",
];
const INCLUDE_ROLE: &[&str] = &[
    "include_role",
    "ansible.builtin.include_role",
    "ansible.legacy.include_role",
];
const META: &[&str] = &["meta", "ansible.builtin.meta", "ansible.legacy.meta"];

/// Whether a task's key can be an action at all.
pub(super) fn is_action(name: &str, catalogue: &dyn Catalogue) -> bool {
    [IMPORT_TASKS, IMPORT_ROLE, INCLUDE_TASKS, INCLUDE_ROLE, META]
        .iter()
        .any(|names| names.contains(&name))
        || catalogue.find(name).is_some()
}

/// A task that names nothing to do, or something that does not exist.
pub(super) fn unknown_module(key: &Node, catalogue: &dyn Catalogue) -> Diagnostic {
    let name = key.text().unwrap_or_default();
    let names = catalogue.names();
    let special = [
        "import_tasks",
        "import_role",
        "include_tasks",
        "include_role",
        "meta",
    ];
    let short = name.rsplit('.').next().unwrap_or(name);
    let near = nearest(short, names.iter().copied().chain(special));
    Diagnostic::error(format!("unknown module `{name}`"))
        .at(&key.span)
        .did_you_mean(near)
}

/// Reads `module: arguments`, with the task's `args:`.
pub(super) fn read(
    key: &Node,
    value: &Node,
    args: Option<&Node>,
    catalogue: &dyn Catalogue,
) -> Result<Found, Diagnostic> {
    let name = key.text().unwrap_or_default();
    if IMPORT_TASKS.contains(&name) {
        return Ok(Found::ImportTasks(file_option(value, args)?.0));
    }
    if IMPORT_ROLE.contains(&name) {
        return Ok(Found::ImportRole(role_options(value, args)?));
    }
    if INCLUDE_TASKS.contains(&name) {
        let (file, apply) = file_option(value, args)?;
        return Ok(Found::Action(Action::IncludeTasks(IncludeTasks { file, apply })));
    }
    if INCLUDE_ROLE.contains(&name) {
        let options = role_options(value, args)?;
        return include_role(&options).map(|r| Found::Action(Action::IncludeRole(r)));
    }
    if META.contains(&name) {
        return meta(value).map(|m| Found::Action(Action::Meta(m)));
    }
    let signature = catalogue
        .find(name)
        .ok_or_else(|| unknown_module(key, catalogue))?;
    module(key, value, args, signature).map(Found::Action)
}

fn module(key: &Node, value: &Node, args: Option<&Node>, signature: Signature) -> Result<Action, Diagnostic> {
    let mut arguments = Vec::new();
    let mut more = None;
    match &value.kind {
        Kind::Map(pairs) => pairs.iter().for_each(|(k, v)| arguments.push(argument(k, v))),
        Kind::List(_) => {
            return Err(Diagnostic::error(format!(
                "the options of `{}` are a mapping, but this is a list",
                signature.name
            ))
            .at(&value.span));
        }
        _ if value.is_null() => {}
        Kind::String(text) if signature.free_form.is_none() && is_only_template(text) => {
            more = Some(Written::of(value));
        }
        _ => free_form(value, &signature, &mut arguments)?,
    }
    if let Some(args) = args {
        match &args.kind {
            Kind::Map(pairs) => {
                for (k, v) in pairs.iter() {
                    if !arguments.iter().any(|a| Some(&*a.name) == k.text()) {
                        arguments.push(argument(k, v));
                    }
                }
            }
            Kind::String(text) if is_only_template(text) => more = Some(Written::of(args)),
            _ if args.is_null() => {}
            _ => {
                return Err(
                    Diagnostic::error(format!("`args` is a mapping, but this is {}", args.what()))
                        .at(&args.span),
                );
            }
        }
    }
    Ok(Action::Module {
        signature,
        arguments,
        more,
        span: key.span.clone(),
    })
}

fn is_only_template(text: &str) -> bool {
    text.trim_start().starts_with("{{") && text.trim_end().ends_with("}}")
}

fn argument(key: &Node, value: &Node) -> WrittenArgument {
    WrittenArgument {
        name: key.text().unwrap_or_default().into(),
        value: value.value(),
        name_span: key.span.clone(),
        value_span: value.span.clone(),
    }
}

/// An option that the module does not have.
pub(super) fn unknown_option(action: &Action) -> Option<Diagnostic> {
    let Action::Module {
        signature, arguments, ..
    } = action
    else {
        return None;
    };
    let options = signature.options?;
    for a in arguments {
        if options.contains(&&*a.name) {
            continue;
        }
        let shown = || {
            let mut names: Vec<_> = options.iter().filter(|o| !o.starts_with('_')).copied().collect();
            names.sort_unstable();
            names.join(", ")
        };
        let error =
            Diagnostic::error(format!("`{}` has no option `{}`", signature.name, a.name)).at(&a.name_span);
        if keywords::is_of_a_task(&a.name) {
            return Some(error.help(format!(
                "`{}` is a keyword of the task: indent it like `{}`",
                a.name, signature.name
            )));
        }
        return Some(match nearest(&a.name, options.iter().copied()) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error.help(format!("its options are {}", shown())),
        });
    }
    None
}

/// Text behind the module's name: the free text of `command` and its kin, `k=v` pairs for the others.
fn free_form(
    value: &Node,
    signature: &Signature,
    arguments: &mut Vec<WrittenArgument>,
) -> Result<(), Diagnostic> {
    let text = value.text().unwrap_or_default();
    let mut push = |name: &str, text: &str| {
        let value_text = Value::written(text, Some(&value.span));
        arguments.push(WrittenArgument {
            name: name.into(),
            value: value_text,
            name_span: value.span.clone(),
            value_span: value.span.clone(),
        });
    };
    let words = words(text);
    let Some(raw) = signature.free_form else {
        for word in &words {
            let Some((name, value_text)) = word.text.split_once('=') else {
                return Err(Diagnostic::error(format!(
                    "`{}` takes `option=value`, but `{}` has no `=`",
                    signature.name, word.text
                ))
                .at(&value.span)
                .help(format!(
                    "write the options below `{}:` as a mapping",
                    signature.name
                )));
            };
            push(name, unquoted(value_text));
        }
        return Ok(());
    };
    // Only the module's own options are taken out of the text; every other byte stays.
    let options = signature.options.unwrap_or_default();
    let is_option = |word: &str| {
        word.split_once('=').is_some_and(|(name, _)| {
            !name.starts_with('_') && FREE_FORM_OPTIONS.contains(&name) && options.contains(&name)
        })
    };
    let mut rest = String::with_capacity(text.len());
    let mut end = 0;
    for word in &words {
        if is_option(&word.text) {
            rest.push_str(&text[end..word.start]);
            end = word.end;
            if let Some((name, value_text)) = word.text.split_once('=') {
                push(name, unquoted(value_text));
            }
        }
    }
    rest.push_str(&text[end..]);
    // A block's last newline is part of the text, unless an option was the last thing in it.
    let rest = match rest.trim() {
        text if end == 0 && rest.ends_with('\n') => format!("{text}\n"),
        text => text.to_string(),
    };
    if signature.name == "raw" {
        push(raw, &rest);
    } else {
        push(raw, &without_lone_backslashes(&rest));
    }
    Ok(())
}

/// A backslash between blanks is dropped outside of quotes and templates, and with it the end of its line:
/// lines are joined before the shell sees them. A backslash that ends a word is the shell's own.
fn without_lone_backslashes(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    let (mut quote, mut depth, mut continued) = (None, 0_usize, false);
    for (number, line) in text.split('\n').enumerate() {
        match (number, continued) {
            (0, _) => {}
            (_, false) => joined.push('\n'),
            (_, true) if !line.starts_with(' ') => joined.push(' '),
            (_, true) => {}
        }
        continued = false;
        for (place, piece) in line.split(' ').enumerate() {
            if piece == "\\" && quote.is_none() && depth == 0 {
                continued = true;
                continue;
            }
            if place > 0 {
                joined.push(' ');
            }
            joined.push_str(piece);
            (quote, depth) = state_behind(piece, quote, depth);
        }
    }
    joined
}

/// Whether text behind this piece is quoted, and how deep in templates it is.
fn state_behind(piece: &str, mut quote: Option<u8>, mut depth: usize) -> (Option<u8>, usize) {
    let bytes = piece.as_bytes();
    for (i, byte) in bytes.iter().enumerate() {
        let escaped = i > 0 && bytes[i - 1] == b'\\';
        match (quote, byte) {
            (None, b'"' | b'\'') if !escaped => quote = Some(*byte),
            (Some(q), b) if q == *b && !escaped => quote = None,
            _ => {}
        }
        match bytes.get(i..i + 2) {
            Some(b"{{" | b"{%" | b"{#") => depth += 1,
            Some(b"}}" | b"%}" | b"#}") => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    (quote, depth)
}

/// The options that Ansible takes out of free text.
const FREE_FORM_OPTIONS: &[&str] = &[
    "creates",
    "removes",
    "chdir",
    "executable",
    "stdin",
    "stdin_add_newline",
    "strip_empty_ends",
    "warn",
    "argv",
    "expand_argument_vars",
];

struct Word {
    text: String,
    start: usize,
    end: usize,
}

/// Splits at white space outside of quotes and templates, keeping quotes.
fn words(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let (mut quote, mut depth, mut start) = (None, 0_usize, None);
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        let pair = bytes.get(i..i + 2).unwrap_or_default();
        let step = match (quote, pair) {
            (_, b"{{" | b"{%" | b"{#") => {
                depth += 1;
                2
            }
            (_, b"}}" | b"%}" | b"#}") if depth > 0 => {
                depth -= 1;
                2
            }
            (_, [b'\\', _]) => 2,
            _ => 1,
        };
        if depth == 0 && step == 1 {
            match (quote, bytes[i]) {
                (None, b'"' | b'\'') => quote = Some(bytes[i]),
                (Some(q), b) if q == b => quote = None,
                _ => {}
            }
        }
        let space = bytes[i].is_ascii_whitespace() && quote.is_none() && depth == 0;
        match (space, start) {
            (false, None) => start = Some(i),
            (true, Some(s)) => {
                words.push(Word {
                    text: text[s..i].to_string(),
                    start: s,
                    end: i,
                });
                start = None;
            }
            _ => {}
        }
        i += step;
    }
    if let Some(s) = start {
        words.push(Word {
            text: text[s..].to_string(),
            start: s,
            end: text.len(),
        });
    }
    words
}

fn unquoted(text: &str) -> &str {
    for q in ['"', '\''] {
        if text.len() >= 2 && text.starts_with(q) && text.ends_with(q) {
            return &text[1..text.len() - 1];
        }
    }
    text
}

/// The file of an import or include, and `apply`.
fn file_option(value: &Node, args: Option<&Node>) -> Result<(Written, Keywords), Diagnostic> {
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

/// The options of `import_role` and `include_role` as one mapping.
fn role_options(value: &Node, args: Option<&Node>) -> Result<Node, Diagnostic> {
    if value.as_map().is_some() {
        return Ok(value.clone());
    }
    if let Some(args) = args.filter(|a| a.as_map().is_some()) {
        return Ok(args.clone());
    }
    let text = value.text().unwrap_or_default();
    if let Some(name) = text.strip_prefix("name=") {
        let part = value.span.part(5, text.len());
        let node = |kind: &str, span: &Span| Node {
            kind: Kind::String(kind.into()),
            span: span.clone(),
        };
        let pair = (node("name", &value.span), node(name, &part));
        return Ok(Node {
            kind: Kind::Map(Arc::new(vec![pair])),
            span: value.span.clone(),
        });
    }
    Err(Diagnostic::error("which role? `name:` is missing").at(&value.span))
}

fn include_role(options: &Node) -> Result<IncludeRole, Diagnostic> {
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

pub(super) fn unknown_role_option(key: &Node) -> Diagnostic {
    Diagnostic::error(format!("a role include has no option `{}`", key.text().unwrap_or_default()))
        .at(&key.span)
        .help("its options are name, tasks_from, vars_from, defaults_from, handlers_from, public, apply; variables for the role go into `vars:`")
}

pub(super) fn role_name(options: &Node) -> Result<Written, Diagnostic> {
    options
        .get("name")
        .or_else(|| options.get("role"))
        .map(Written::of)
        .ok_or_else(|| Diagnostic::error("which role? `name:` is missing").at(&options.span))
}

fn meta(value: &Node) -> Result<Meta, Diagnostic> {
    let text = value
        .text()
        .or_else(|| value.get("_raw_params").and_then(Node::text))
        .unwrap_or_default();
    let all = [
        ("noop", Meta::Noop),
        ("flush_handlers", Meta::FlushHandlers),
        ("end_play", Meta::EndPlay),
        ("end_host", Meta::EndHost),
        ("end_batch", Meta::EndBatch),
        ("end_role", Meta::EndRole),
        ("clear_facts", Meta::ClearFacts),
        ("clear_host_errors", Meta::ClearHostErrors),
        ("reset_connection", Meta::ResetConnection),
        ("refresh_inventory", Meta::RefreshInventory),
    ];
    if let Some((_, meta)) = all.iter().find(|(name, _)| *name == text) {
        return Ok(*meta);
    }
    Err(Diagnostic::error(format!("`meta` knows no `{text}`"))
        .at(&value.span)
        .did_you_mean(nearest(text, all.iter().map(|(n, _)| *n))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_where_a_backslash_stands_alone() {
        assert_eq!(without_lone_backslashes("echo a \\ b"), "echo a b");
        assert_eq!(without_lone_backslashes("echo a \\\n  b\n"), "echo a  b\n");
        assert_eq!(without_lone_backslashes("echo a \\\nb"), "echo a b");
        assert_eq!(without_lone_backslashes("a\\\nb"), "a\\\nb");
        assert_eq!(without_lone_backslashes("echo 'a \\\n b'"), "echo 'a \\\n b'");
        assert_eq!(without_lone_backslashes("a\n  b\n"), "a\n  b\n");
    }
}
