//! A server that is not reached, in the words of kubectl and helm: why, at which address, and what to do.

use super::complaint::{Complaint, between};

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
pub(super) fn is_last_resort(text: &str) -> bool {
    text.contains("The connection to the server localhost:8080 was refused")
        || text.contains("http://localhost:8080/")
}

pub(super) fn is_lost(text: &str) -> bool {
    // Somebody answered, and is not who they should be.
    !text.contains("x509: ") && LOST.iter().any(|words| text.contains(words))
}

/// One sentence, and the way out, for a server that several complaints of one call say to be away: the first is the
/// cause.
pub(super) fn lost<'a>(
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

pub(super) fn unreachable(text: &str) -> Option<Complaint> {
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
