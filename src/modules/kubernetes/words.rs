//! What kubectl complains of: which object it is about, which field, and what that means.

use std::fmt::Write;

use super::client::Said;
use super::kinds;
use super::manifest::Manifest;
use super::object::Id;
use crate::host::{Failure, Halt};
use crate::vars::Value;

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
    about: Option<About>,
    /// It is about the connection or the command, no object.
    is_general: bool,
    /// The server cannot be reached.
    is_away: bool,
    /// At which address it is not, if that is told.
    address: Option<String>,
    /// What it needs is not there: a namespace, a kind.
    is_of_what_is_missing: bool,
    /// The namespace that is not there.
    pub lacks_namespace: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct About {
    namespace: Option<String>,
    name: String,
}

/// The complaints of a call, in order, without the warnings among them.
pub fn complaints(stderr: &str) -> Vec<Complaint> {
    messages(stderr).iter().map(|message| explain(message)).collect()
}

/// The warnings of a call: those of the server, without kubectl's own housekeeping.
pub fn warnings(stderr: &str) -> Vec<String> {
    stderr
        .lines()
        .filter_map(|line| line.strip_prefix("Warning: "))
        .filter(|text| !text.contains("is missing the kubectl.kubernetes.io/last-applied-configuration"))
        .map(String::from)
        .collect()
}

/// The names of fields in a warning: `unknown field "spec.foo"`.
pub fn field_of_warning(text: &str) -> Option<&str> {
    text.split_once("field \"")?.1.split('"').next()
}

/// Takes the text apart where a new complaint begins.
fn messages(stderr: &str) -> Vec<String> {
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
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

fn explain(message: &str) -> Complaint {
    let text = message
        .strip_prefix("error: ")
        .or_else(|| message.strip_prefix("Error: "))
        .unwrap_or(message);
    let readers = [
        conflict,
        no_such_kind,
        typed_patch,
        not_decoded,
        invalid,
        unreachable,
        not_found,
    ];
    if let Some(complaint) = readers.iter().find_map(|read| read(text)) {
        return complaint;
    }
    Complaint {
        text: plain(text).to_string(),
        ..Complaint::default()
    }
}

/// Without `Error from server (X): error when creating "STDIN": `.
fn plain(text: &str) -> &str {
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

/// Words for a server that is away.
const LOST: &[&str] = &[
    "Unable to connect to the server",
    "unexpected EOF",
    "http2: client connection lost",
    "connection refused",
    "connection reset",
    "was refused - did you specify",
    "i/o timeout",
    "TLS handshake timeout",
    "etcdserver: ",
    "(ServiceUnavailable)",
    "Client.Timeout exceeded",
    "context deadline exceeded",
    "Kubernetes cluster unreachable",
];

/// Whether nothing was wrong but conflicts with fields of this very manager: what it has set by other ways than
/// applying counts as another's.
pub fn is_conflict_with(manager: &str, said: &Said) -> bool {
    let complaints = complaints(&said.stderr);
    let own = |complaint: &Complaint| {
        !complaint.managers.is_empty() && complaint.managers.iter().all(|other| other == manager)
    };
    !complaints.is_empty() && complaints.iter().all(own)
}

/// What to do about a server that cannot be reached.
fn way_to(text: &str) -> &'static str {
    if is_last_resort(text) {
        "no kubeconfig was found, and the last resort tried; name one with `kubeconfig:` (kubeadm's is \
         /etc/kubernetes/admin.conf)"
    } else {
        "is the API server running, and is that its address?"
    }
}

/// Whether kubectl or helm had no kubeconfig.
fn is_last_resort(text: &str) -> bool {
    text.contains("The connection to the server localhost:8080 was refused")
        || text.contains("http://localhost:8080/")
}

/// Whether nothing is wrong but that something is not there: an object, its namespace, its kind.
pub fn is_missing(said: &Said) -> bool {
    let messages = messages(&said.stderr);
    let is = |message: &String| {
        explain(message).is_of_what_is_missing
            || message.starts_with("Error from server (NotFound): ")
            || message.contains("the server doesn't have a resource type")
    };
    !messages.is_empty() && messages.iter().all(is)
}

/// The kubeconfig that is not there, if that is what is wrong.
pub fn lacks_kubeconfig(said: &Said) -> Option<String> {
    if let Some(path) = between(&said.stderr, "stat ", ": no such file or directory") {
        return Some(format!("the kubeconfig {path}, which is not there"));
    }
    is_last_resort(&said.stderr).then(|| "a kubeconfig, of which none was found".to_string())
}

/// Whether the server did not answer, which may pass.
pub fn is_away(said: &Said) -> bool {
    is_lost(&said.stderr)
}

fn is_lost(text: &str) -> bool {
    // Somebody answered, and is not who they should be.
    !text.contains("x509: ") && LOST.iter().any(|words| text.contains(words))
}

/// One sentence, and the way out, for a server that several complaints of one call say to be away: the first is the
/// cause.
fn lost<'a>(
    mut away: impl Iterator<Item = &'a Complaint> + Clone,
    server: Option<&str>,
) -> Option<(String, &'a str)> {
    let mut places = away.clone().filter_map(|complaint| complaint.address.clone());
    let place = server.map(String::from).or_else(|| places.next());
    let first = away.next()?;
    let place = place.map_or(String::new(), |place| format!(" at {place}"));
    let text = format!("the API server{place} cannot be reached: {}", first.text);
    Some((text, first.help.as_deref().unwrap_or_default()))
}

/// Why the server cannot be reached, without what wraps it: `read tcp A:1->B:2: read: connection reset by peer`.
fn cause(text: &str) -> &str {
    if let Some(at) = text.find("etcdserver: ") {
        return text[at..].trim();
    }
    text.trim().rsplit(": ").next().unwrap_or(text)
}

/// The server's address, where a complaint tells it.
fn address(text: &str) -> Option<String> {
    let found = between(text, "->", ": ")
        .or_else(|| between(text, "https://", "/"))
        .or_else(|| between(text, "dial tcp ", ": "))
        .or_else(|| between(text, "The connection to the server ", " was refused"))?;
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '[' | ']');
    (!found.is_empty() && found.chars().all(fine)).then(|| found.to_string())
}

/// What helm or another program says of a server that it cannot reach, as one sentence.
pub fn away(said: &Said) -> Option<(String, String)> {
    let complaint = unreachable(said.stderr.trim()).filter(|complaint| complaint.is_away)?;
    let (text, help) = lost(std::iter::once(&complaint), said.server.as_deref())?;
    Some((text, help.to_string()))
}

fn unreachable(text: &str) -> Option<Complaint> {
    let general = |text: String, help: Option<&str>| {
        Some(Complaint {
            text,
            help: help.map(String::from),
            is_general: true,
            ..Complaint::default()
        })
    };
    if let Some(server) = between(text, "The connection to the server ", " was refused") {
        return Some(Complaint {
            text: "connection refused".to_string(),
            help: Some(way_to(text).to_string()),
            is_away: true,
            address: Some(server.to_string()),
            ..Complaint::default()
        });
    }
    if let Some(path) = between(text, "stat ", ": no such file or directory") {
        let help = "`kubeconfig` is a path on the host that runs the task";
        return general(format!("there is no kubeconfig {path}"), Some(help));
    }
    if text.contains("You must be logged in to the server") || text.contains("(Unauthorized)") {
        let help = "is the kubeconfig of this cluster, and are its certificates still valid?";
        return general(
            "the API server does not know who is asking".to_string(),
            Some(help),
        );
    }
    if let Some(context) = text
        .split_once("context was not found for specified context: ")
        .map(|(_, c)| c)
    {
        return general(
            format!("the kubeconfig has no context `{}`", context.trim()),
            None,
        );
    }
    if is_lost(text) {
        return Some(Complaint {
            text: cause(text).to_string(),
            help: Some(way_to(text).to_string()),
            is_away: true,
            address: address(text),
            ..Complaint::default()
        });
    }
    None
}

fn not_found(text: &str) -> Option<Complaint> {
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

    fn is_about(&self, id: &Id) -> bool {
        self.about.as_ref().is_some_and(|about| {
            let namespace = match (&about.namespace, &id.namespace) {
                (Some(a), Some(b)) => a == b,
                _ => true,
            };
            about.name == id.name && namespace
        })
    }
}

/// So many complaints say enough.
const MOST: usize = 20;

/// The failure of a call that was about these objects: each complaint with the object that it is about and where
/// that stands.
///
/// `done`: the objects that it came through with. kubectl complains in the order of the objects, so a complaint
/// that names none is about the next one that is neither done nor named.
pub fn failure(doing: &str, said: &Said, manifests: &[&Manifest], done: &[bool]) -> Halt {
    let complaints = complaints(&said.stderr);
    let named = |complaint: &Complaint| {
        manifests
            .iter()
            .position(|manifest| complaint.is_about(&manifest.id()))
    };
    let taken: Vec<Option<usize>> = complaints.iter().map(named).collect();
    let mut rest = (0..manifests.len())
        .filter(|i| !done.get(*i).copied().unwrap_or(false) && !taken.contains(&Some(*i)));
    let mut lines = Vec::new();
    let mut helps: Vec<&str> = Vec::new();
    // Each of the objects meets the server that is away; it is said once.
    let away = complaints.iter().filter(|complaint| complaint.is_away);
    if let Some((line, help)) = lost(away, said.server.as_deref()) {
        lines.push(line);
        helps.push(help);
    }
    for (complaint, index) in complaints.iter().zip(&taken) {
        if complaint.is_away {
            continue;
        }
        let index = match index {
            Some(index) => Some(*index),
            None if complaint.is_general => None,
            None => rest.next(),
        };
        let manifest = index.and_then(|index| manifests.get(index));
        let line = match manifest {
            Some(manifest) => format!(
                "{}: {}",
                manifest.named(complaint.field.as_deref()),
                complaint.text
            ),
            None => complaint.text.clone(),
        };
        if !lines.contains(&line) {
            lines.push(line);
        }
        if let Some(help) = complaint.help.as_deref().filter(|help| !helps.contains(help)) {
            helps.push(help);
        }
    }
    if lines.is_empty() {
        lines.push(format!("kubectl ended with {} and said nothing", said.status));
    }
    let more = lines.len().saturating_sub(MOST);
    lines.truncate(MOST);
    let mut msg = format!("cannot {doing}: {}", lines.join("\n"));
    if more > 0 {
        let _ = write!(msg, "\nand {more} more");
    }
    for help in helps {
        msg.push_str("\nhelp: ");
        msg.push_str(help);
    }
    Failure::new(msg)
        .with("stderr", once(&said.stderr))
        .with("rc", i64::from(said.status))
        .with("reason", reason(&said.stderr).map_or(Value::Null, Value::from))
        .into()
}

/// Without lines that were said before.
fn once(text: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines() {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// The API's word for it: `Error from server (Conflict): …`.
fn reason(stderr: &str) -> Option<&str> {
    if stderr.contains("Apply failed with ") {
        return Some("Conflict");
    }
    between(stderr, "Error from server (", ")")
}

/// The failure of a call that is about no object of the task's.
pub fn refused(doing: &str, said: &Said) -> Halt {
    failure(doing, said, &[], &[])
}

/// Whether the server said that it has no such kind.
pub fn is_unknown_kind(said: &Said) -> bool {
    said.stderr.contains("the server doesn't have a resource type")
        || said.stderr.contains("no matches for kind")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words of kubectl 1.29.4 and a kube-apiserver 1.29.15.
    const APPLY: &str = "W1128 18:12:12.784657    8607 schema.go:145] cannot perform warn validation if server-side \
        field validation is unsupported, skipping validation\n\
        resource mapping not found for name: \"bad4\" namespace: \"a\" from \"bad.yaml\": no matches for kind \
        \"Deploymint\" in version \"apps/v1\"\nensure CRDs are installed first\n\
        Error from server: failed to create typed patch object (a/bad1; /v1, Kind=ConfigMap): .datta: field not \
        declared in schema\n\
        Error from server (Invalid): Deployment.apps \"bad5\" is invalid: [spec.replicas: Invalid value: -1: must be \
        greater than or equal to 0, spec.template.metadata.labels: Invalid value: map[string]string{\"app\":\"x\"}: \
        `selector` does not match template `labels`]";

    const CREATE: &str = "Error from server (BadRequest): error when creating \"STDIN\": Deployment in version \"v1\" \
        cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field \
        DeploymentSpec.spec.replicas of type int32\n\
        Error from server (BadRequest): error when creating \"STDIN\": ConfigMap in version \"v1\" cannot be handled \
        as a ConfigMap: strict decoding error: unknown field \"datta\"";

    const CONFLICT: &str = "Apply failed with 1 conflict: conflict with \"one\": .data.k\n\
        Please review the fields above--they currently have other managers. Here\nare the ways you can resolve this \
        warning:\n* If you intend\nSee https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts\n\
        Error from server: failed to create typed patch object (a/cy; /v1, Kind=ConfigMap): errors:\n  .data.k: \
        expected string, got &value.valueUnstructured{Value:1}\n  .data.l: expected string, got \
        &value.valueUnstructured{Value:2}";

    #[test]
    fn each_complaint_by_itself() {
        let said = complaints(APPLY);
        let texts: Vec<&str> = said.iter().map(|c| c.text.as_str()).collect();
        assert_eq!(texts[0], "the server has no kind `Deploymint` in `apps/v1`");
        assert_eq!(texts[1], "there is no field `.datta`");
        assert!(
            texts[2].starts_with("spec.replicas: Invalid value: -1"),
            "{}",
            texts[2]
        );
        assert_eq!(texts.len(), 3);
        let fields: Vec<Option<&str>> = said.iter().map(|c| c.field.as_deref()).collect();
        assert_eq!(fields, [Some("kind"), Some(".datta"), Some("spec.replicas")]);
        let said = complaints(CREATE);
        assert_eq!(said[0].text, "`spec.replicas` has to be a number, not text");
        assert_eq!(said[1].text, "there is no field `datta`");
    }

    #[test]
    fn a_conflict_names_the_other_manager() {
        let said = complaints(CONFLICT);
        assert_eq!(said[0].text, ".data.k belongs to the manager `one`");
        assert_eq!(
            said[1].text,
            ".data.k: expected string, got `1`; .data.l: expected string, got `2`"
        );
        assert_eq!(said.len(), 2);
        let many = complaints(
            "error: Apply failed with 2 conflicts: conflicts with \"one\" using apps/v1:\n- .spec.a\n- .spec.b\n\
             conflicts with \"two\":\n- .spec.c",
        );
        assert_eq!(
            many[0].text,
            ".spec.a, .spec.b belong to the manager `one`; .spec.c belongs to the manager `two`"
        );
    }

    fn sentence(stderr: &str, server: Option<&str>) -> String {
        let said = Said {
            stderr: stderr.to_string(),
            status: 1,
            server: server.map(String::from),
            ..Said::default()
        };
        match refused("look", &said) {
            Halt::Failed(failure) => failure.msg,
            _ => String::new(),
        }
    }

    #[test]
    fn a_server_that_is_not_there() {
        let said = complaints(
            "E1128 18:12:13.530975    8661 memcache.go:265] couldn't get current server API group list: Get \
             \"https://127.0.0.1:1/api?timeout=32s\": dial tcp 127.0.0.1:1: connect: connection refused\n\
             The connection to the server 127.0.0.1:1 was refused - did you specify the right host or port?",
        );
        assert_eq!(said.len(), 1);
        let refused = "cannot look: the API server at 127.0.0.1:1 cannot be reached: connection refused\n\
            help: is the API server running, and is that its address?";
        assert_eq!(
            sentence(
                "The connection to the server 127.0.0.1:1 was refused - did you specify",
                None
            ),
            refused
        );
        // Words of kubectl 1.29.15, of a server that ended in the middle: for each object that it still had to do.
        let reset = "Unable to connect to the server: read tcp 192.0.2.11:4->192.0.2.11:6443: read: connection reset by peer\n\
            The connection to the server 192.0.2.11:6443 was refused - did you specify the right host or port?";
        let said = sentence(reset, None);
        assert!(
            said.starts_with("cannot look: the API server at 192.0.2.11:6443 cannot be reached: connection reset by peer\nhelp"),
            "{said}"
        );
        let said = sentence(
            "Unable to connect to the server: net/http: TLS handshake timeout",
            Some("192.0.2.11:6443"),
        );
        assert!(
            said.starts_with(
                "cannot look: the API server at 192.0.2.11:6443 cannot be reached: TLS handshake timeout\n"
            ),
            "{said}"
        );
        let unknown = "Unable to connect to the server: tls: failed to verify certificate: x509: certificate signed by unknown authority";
        assert!(!is_away(&Said {
            stderr: unknown.into(),
            ..Said::default()
        }));
        let said = complaints("error: stat /nope: no such file or directory");
        assert_eq!(said[0].text, "there is no kubeconfig /nope");
    }

    #[test]
    fn what_a_dry_run_may_lack() {
        let said = |stderr: &str| Said {
            stderr: stderr.into(),
            status: 1,
            ..Said::default()
        };
        let missing = "Error from server (NotFound): deployments.apps \"web\" not found";
        assert!(is_missing(&said(missing)));
        let forbidden = "Error from server (Forbidden): nodes is forbidden: User \"x\" cannot list resource";
        assert!(!is_missing(&said(&format!("{missing}\n{forbidden}"))));
        assert!(!is_missing(&said("")));
        assert!(is_missing(&said(
            "error: the server doesn't have a resource type \"web\""
        )));
        let lacks = |stderr: &str| lacks_kubeconfig(&said(stderr));
        assert_eq!(
            lacks("error: stat /nope: no such file or directory").as_deref(),
            Some("the kubeconfig /nope, which is not there")
        );
        assert!(lacks("The connection to the server localhost:8080 was refused - did you").is_some());
        assert!(lacks("The connection to the server 192.0.2.1:6443 was refused - did you").is_none());
    }

    #[test]
    fn warnings_of_the_server() {
        let stderr = "Warning: unknown field \"spec.foo\"\nWarning: resource namespaces/a is missing the \
            kubectl.kubernetes.io/last-applied-configuration annotation which is required";
        assert_eq!(warnings(stderr), ["unknown field \"spec.foo\""]);
        assert_eq!(field_of_warning("unknown field \"spec.foo\""), Some("spec.foo"));
        assert!(complaints(stderr).is_empty());
    }
}
