//! One complaint: what it is about, and better words for it.

use crate::modules::kubernetes::{Id, kinds};

/// One complaint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Complaint {
    /// What is wrong, in words of ours where they are better.
    pub text: String,
    pub help: Option<String>,
    /// The field it is about, as the server names it.
    pub field: Option<String>,
    /// In a conflict: the other managers.
    pub managers: Vec<String>,
    /// Kind (or plural) and name of the object, where they are told.
    pub(super) about: Option<About>,
    /// It is about the connection or the command, no object.
    pub(super) is_general: bool,
    /// The server cannot be reached.
    pub(super) is_away: bool,
    /// At which address it is not, if that is told.
    pub(super) address: Option<String>,
    /// What it needs is not there: a namespace, a kind.
    pub(super) is_of_what_is_missing: bool,
    /// The namespace that is not there.
    pub lacks_namespace: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct About {
    namespace: Option<String>,
    name: String,
}

/// Takes the text apart where a new complaint begins.
pub(super) fn messages(stderr: &str) -> Vec<String> {
    const BEGINNINGS: &[&str] = &[
        "Error from server",
        "Error in configuration",
        "error: ",
        "error when ",
        "Apply failed with ",
        "resource mapping not found ",
        "The ",
        "Unable to ",
        "unable to ",
        "no matches for kind ",
        "Error: ",
        "namespaces ",
    ];
    let mut all: Vec<String> = Vec::new();
    let mut advice = false;
    for line in stderr.lines() {
        if line.starts_with("Please review the fields above") {
            advice = true;
        }
        if line.starts_with("See https://") {
            advice = false;
            continue;
        }
        if advice
            || line.starts_with("Warning: ")
            || line.starts_with("Defaulted container ")
            || line == "ensure CRDs are installed first"
            || is_log(line)
        {
            continue;
        }
        match all.last_mut() {
            Some(last) if !BEGINNINGS.iter().any(|word| line.starts_with(word)) => {
                last.push('\n');
                last.push_str(line);
            }
            _ if line.trim().is_empty() => {}
            _ => all.push(line.to_string()),
        }
    }
    all
}

/// `E1128 18:12:13.530975    8661 memcache.go:265] …`
fn is_log(line: &str) -> bool {
    line.starts_with(['E', 'W', 'I', 'F'])
        && line
            .get(1..5)
            .is_some_and(|date| date.bytes().all(|b| b.is_ascii_digit()))
        && line.contains(".go:")
}

/// What stands between two texts.
pub(super) fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

/// What the server says of an object.
pub(super) fn of_an_object(text: &str) -> Option<Complaint> {
    let readers = [conflict, no_such_kind, typed_patch, not_decoded, invalid];
    readers.iter().find_map(|read| read(text))
}

/// Without `Error from server (X): error when creating "STDIN": `.
pub(super) fn plain(text: &str) -> &str {
    let mut rest = text;
    if rest.starts_with("Error from server")
        && let Some((_, tail)) = rest.split_once(": ")
    {
        rest = tail;
    }
    if rest.starts_with("error when ")
        && let Some((_, tail)) = rest.split_once("\": ")
    {
        rest = tail;
    }
    rest.trim()
}

fn conflict(text: &str) -> Option<Complaint> {
    let (_, rest) = text.split_once("Apply failed with ")?;
    let (_, rest) = rest.split_once(": ")?;
    let mut parts = Vec::new();
    let mut managers = Vec::new();
    let mut first = None;
    for part in rest
        .split("conflicts with ")
        .flat_map(|part| part.split("conflict with "))
    {
        let Some(manager) = part
            .trim()
            .strip_prefix('"')
            .and_then(|part| part.split('"').next())
        else {
            continue;
        };
        let fields: Vec<&str> = part
            .split([' ', '\n', ','])
            .map(|word| word.trim_start_matches("- ").trim_end_matches(','))
            .filter(|word| word.starts_with('.'))
            .collect();
        first = first.or(fields.first().map(ToString::to_string));
        let verb = if fields.len() == 1 { "belongs" } else { "belong" };
        parts.push(format!("{} {verb} to the manager `{manager}`", fields.join(", ")));
        managers.push(manager.to_string());
    }
    Some(Complaint {
        text: parts.join("; "),
        help: Some(
            "take the fields over with `force_conflicts: true`, or leave them out of the manifest, or give them the \
             value that they have"
                .to_string(),
        ),
        field: first,
        managers,
        ..Complaint::default()
    })
}

fn no_such_kind(text: &str) -> Option<Complaint> {
    let (_, rest) = text.split_once("no matches for kind \"")?;
    let (kind, rest) = rest.split_once('"')?;
    let version = between(rest, "in version \"", "\"").unwrap_or("?");
    let name = between(text, "name: \"", "\"").unwrap_or_default();
    let namespace = between(text, "namespace: \"", "\"").filter(|namespace| !namespace.is_empty());
    let help = match kinds::usual_version(kind).filter(|usual| usual != version) {
        Some(usual) => format!("a {kind} is usually of `{usual}`"),
        None => "what defines it (a CustomResourceDefinition) has to be there first".to_string(),
    };
    Some(Complaint {
        text: format!("the server has no kind `{kind}` in `{version}`"),
        help: Some(help),
        field: Some("kind".to_string()),
        about: Some(About {
            namespace: namespace.map(String::from),
            name: name.to_string(),
        }),
        is_of_what_is_missing: true,
        ..Complaint::default()
    })
}

/// `failed to create typed patch object (a/bad1; /v1, Kind=ConfigMap): .datta: field not declared in schema`
fn typed_patch(text: &str) -> Option<Complaint> {
    let (_, rest) = text.split_once("failed to create typed patch object (")?;
    let (object, rest) = rest.split_once("): ")?;
    let (name, _) = object.split_once(';')?;
    let (namespace, name) = name
        .split_once('/')
        .map_or((None, name), |(n, name)| (Some(n), name));
    let lines: Vec<&str> = rest
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with('.'))
        .collect();
    let field = lines
        .first()
        .and_then(|line| line.split_once(": "))
        .map(|(field, _)| field.to_string());
    let said: Vec<String> = lines.iter().map(|line| undeclared(line)).collect();
    Some(Complaint {
        text: if said.is_empty() {
            rest.to_string()
        } else {
            said.join("; ")
        },
        field,
        about: Some(About {
            namespace: namespace
                .filter(|namespace| !namespace.is_empty())
                .map(String::from),
            name: name.to_string(),
        }),
        ..Complaint::default()
    })
}

fn undeclared(line: &str) -> String {
    match line.split_once(": ") {
        Some((field, "field not declared in schema")) => format!("there is no field `{field}`"),
        _ => line
            .replace("&value.valueUnstructured{Value:", "`")
            .replace('}', "`"),
    }
}

/// `… cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field
/// DeploymentSpec.spec.replicas of type int32`
fn not_decoded(text: &str) -> Option<Complaint> {
    if let Some((_, rest)) = text.split_once("strict decoding error: ") {
        let fields: Vec<&str> = rest
            .split("unknown field \"")
            .skip(1)
            .filter_map(|part| part.split('"').next())
            .collect();
        if fields.is_empty() {
            return Some(Complaint {
                text: rest.trim().to_string(),
                ..Complaint::default()
            });
        }
        let listed: Vec<String> = fields.iter().map(|field| format!("`{field}`")).collect();
        return Some(Complaint {
            text: format!("there is no field {}", listed.join(", ")),
            field: fields.first().map(ToString::to_string),
            ..Complaint::default()
        });
    }
    let (_, rest) = text.split_once("json: cannot unmarshal ")?;
    let (found, rest) = rest.split_once(" into Go ")?;
    let (place, kind) = rest.split_once(" of type ")?;
    // The first word is the Go type's.
    let field = place
        .trim_start_matches("struct field ")
        .split_once('.')
        .map(|(_, field)| field.to_string());
    let kind = kind.trim();
    let wanted = match kind {
        "bool" => "a boolean",
        "string" => "text",
        _ if kind.starts_with("int") || kind.starts_with("uint") => "a number",
        _ if kind.starts_with("[]") => "a list",
        _ => "a mapping",
    };
    let found = match found {
        "bool" => "a boolean",
        "string" => "text",
        "object" => "a mapping",
        "array" => "a list",
        other => other,
    };
    Some(Complaint {
        text: format!(
            "`{}` has to be {wanted}, not {found}",
            field.as_deref().unwrap_or("a field")
        ),
        field,
        ..Complaint::default()
    })
}

/// `The Deployment "x" is invalid: spec.replicas: …`, `Deployment.apps "x" is invalid: […]`
fn invalid(text: &str) -> Option<Complaint> {
    let (head, rest) = text.split_once(" is invalid: ")?;
    let name = head.rsplit('"').nth(1)?;
    let rest = rest.trim().trim_start_matches("* ");
    let listed = rest
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(rest);
    let field = listed.split_once(": ").map(|(field, _)| field.to_string());
    Some(Complaint {
        text: listed.replace("\n* ", "; "),
        field: field.filter(|field| !field.contains(' ')),
        about: Some(About {
            namespace: None,
            name: name.to_string(),
        }),
        ..Complaint::default()
    })
}

pub(super) fn not_found(text: &str) -> Option<Complaint> {
    let name = between(text, "namespaces \"", "\" not found")?;
    Some(Complaint {
        lacks_namespace: Some(name.to_string()),
        text: format!("there is no namespace `{name}`"),
        help: Some(
            "create it in an earlier task, or in the same manifest in front of what is in it".to_string(),
        ),
        field: Some("metadata.namespace".to_string()),
        is_of_what_is_missing: true,
        ..Complaint::default()
    })
}

impl Complaint {
    /// Whether what an object needs is not there yet: its namespace, its kind.
    pub fn is_of_what_is_missing(&self) -> bool {
        self.is_of_what_is_missing
    }

    pub(super) fn is_about(&self, id: &Id) -> bool {
        self.about.as_ref().is_some_and(|about| {
            let namespace = match (&about.namespace, &id.namespace) {
                (Some(a), Some(b)) => a == b,
                _ => true,
            };
            about.name == id.name && namespace
        })
    }
}
