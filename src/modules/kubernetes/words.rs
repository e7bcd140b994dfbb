//! What kubectl complains of: which object it is about, which field, and what that means.

mod away;
mod complaint;

use std::fmt::Write;

use super::client::Said;
use super::manifest::Manifest;
use crate::host::{Failure, Halt};
use crate::vars::Value;
use away::{is_last_resort, is_lost, lost, unreachable};
pub use complaint::Complaint;
use complaint::{between, messages, not_found, of_an_object, plain};

/// The complaints of a call, in order, without the warnings among them.
pub fn complaints(stderr: &str) -> Vec<Complaint> {
    messages(stderr).iter().map(|message| explain(message)).collect()
}

fn explain(message: &str) -> Complaint {
    let text = message
        .strip_prefix("error: ")
        .or_else(|| message.strip_prefix("Error: "))
        .unwrap_or(message);
    of_an_object(text)
        .or_else(|| unreachable(text))
        .or_else(|| not_found(text))
        .unwrap_or_else(|| Complaint {
            text: plain(text).to_string(),
            ..Complaint::default()
        })
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

/// Whether nothing was wrong but conflicts with fields of this very manager: what it has set by other ways than
/// applying counts as another's.
pub fn is_conflict_with(manager: &str, said: &Said) -> bool {
    let complaints = complaints(&said.stderr);
    let own = |complaint: &Complaint| {
        !complaint.managers.is_empty() && complaint.managers.iter().all(|other| other == manager)
    };
    !complaints.is_empty() && complaints.iter().all(own)
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

/// What helm or another program says of a server that it cannot reach, as one sentence.
pub fn away(said: &Said) -> Option<(String, String)> {
    let complaint = unreachable(said.stderr.trim()).filter(|complaint| complaint.is_away)?;
    let (text, help) = lost(std::iter::once(&complaint), said.server.as_deref())?;
    Some((text, help.to_string()))
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
