//! What is behind a URL.

use std::path::Path;
use std::time::Duration;

use minijinja::Error;
use minijinja::value::{Value as Jinja, ValueKind};

use super::{Ask, Lookup};
use crate::template::call::{complaint, pairs};
use crate::template::filters::codes::encode64;
use crate::template::python;
use crate::template::variables::root;
use crate::transport::web::Fetch;

pub const LOOKUPS: &[(&str, Lookup)] = &[("url", url)];

/// Ansible's options that nobody has asked us for. What they would be without being named is what happens here.
const REFUSED: &[&str] = &[
    "ca_path",
    "ciphers",
    "unix_socket",
    "unredirected_headers",
    "use_gssapi",
];

/// Ansible sends what `~/.netrc` knows of the server, and answers a server that wants a digest; this does not.
fn url(ask: &mut Ask) -> Result<Vec<Jinja>, Error> {
    refuse(ask)?;
    let splits = ask.flag("split_lines", true);
    let mut found = Vec::new();
    for url in ask.text_terms()? {
        let text = fetched(ask, &url)?;
        if splits {
            found.extend(lines(&text).map(Jinja::from));
        } else {
            found.push(Jinja::from(text));
        }
    }
    Ok(found)
}

fn refuse(ask: &mut Ask) -> Result<(), Error> {
    for name in REFUSED {
        let given = ask
            .option(name)
            .is_some_and(|value| !value.is_none() && value.is_true());
        if given {
            return Err(complaint(format!(
                "lookup `url`: the option `{name}` is not supported"
            )));
        }
    }
    if ask.option("use_netrc").is_some() && ask.flag("use_netrc", false) {
        return Err(complaint(
            "lookup `url`: the option `use_netrc` is not supported: give `username` and `password`",
        ));
    }
    Ok(())
}

fn fetched(ask: &mut Ask, url: &str) -> Result<String, Error> {
    let request = request(ask, url)?;
    let root = root(ask.state)?;
    let outside = root.evaluation.outside()?;
    let text = match url.strip_prefix("file://") {
        Some(path) => {
            let read = outside.read(Path::new(path.trim_start_matches("localhost")));
            read.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .map_err(|why| format!("{url} cannot be read: {why}"))
        }
        None => outside.fetch(&request),
    };
    text.map_err(complaint)
}

fn request(ask: &mut Ask, url: &str) -> Result<Fetch, Error> {
    let mut request = Fetch::new(url);
    request.agent = setting(ask, "http_agent", "ansible_lookup_url_agent")
        .map_or(Ok("ansible-httpget".to_owned()), |agent| python::text(&agent))?;
    request.headers = headers(ask)?;
    let no_cache = setting(ask, "force", "ansible_lookup_url_force");
    if no_cache.is_some_and(|value| is_true(&value)) {
        request
            .headers
            .push(("Cache-Control".to_owned(), "no-cache".to_owned()));
    }
    request.authorization = authorization(ask)?;
    let at_once = setting(ask, "force_basic_auth", "ansible_lookup_url_force_basic_auth");
    request.authorizes_at_once = at_once.is_some_and(|value| is_true(&value));
    request.validates_certificates = ask.flag("validate_certs", true);
    request.uses_proxy = ask.flag("use_proxy", true);
    if let Some(value) = setting(ask, "timeout", "ansible_lookup_url_timeout") {
        request.patience = patience(&value)?;
    }
    if let Some(value) = setting(ask, "follow_redirects", "ansible_lookup_url_follow_redirects") {
        request.redirects = redirects(&python::text(&value)?, request.redirects)?;
    }
    Ok(request)
}

/// An option, or the variable that stands for it.
fn setting(ask: &mut Ask, option: &str, variable: &str) -> Option<Jinja> {
    let given = ask.option(option);
    let named = || root(ask.state).ok()?.named(variable);
    given.or_else(named).filter(|value| !value.is_undefined())
}

fn is_true(value: &Jinja) -> bool {
    match value.as_str() {
        Some(text) => matches!(text.to_lowercase().as_str(), "yes" | "true" | "on" | "1"),
        None => value.is_true(),
    }
}

fn headers(ask: &mut Ask) -> Result<Vec<(String, String)>, Error> {
    let Some(given) = ask.option("headers") else {
        return Ok(Vec::new());
    };
    if given.kind() != ValueKind::Map {
        return Err(complaint("lookup `url`: `headers` is no mapping"));
    }
    pairs(&given)?
        .iter()
        .map(|(name, value)| Ok((python::text(name)?, python::text(value)?)))
        .collect()
}

fn authorization(ask: &mut Ask) -> Result<Option<String>, Error> {
    let (user, password) = (ask.text("username")?, ask.text("password")?);
    let user = user.filter(|user| !user.is_empty() && user != "None");
    let login = user.map(|user| format!("{user}:{}", password.unwrap_or_default()));
    Ok(login.map(|login| format!("Basic {}", encode64(login.as_bytes()))))
}

fn patience(value: &Jinja) -> Result<Duration, Error> {
    let seconds: Option<f64> = python::text(value)?.trim().parse().ok();
    let patience = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    patience.ok_or_else(|| complaint(format!("lookup `url`: `timeout` is no time: {value}")))
}

/// A lookup only ever gets, so that there is no difference between safe and all.
fn redirects(text: &str, most: u32) -> Result<u32, Error> {
    match text.to_lowercase().as_str() {
        "all" | "yes" | "true" | "safe" | "urllib2" => Ok(most),
        "none" | "no" | "false" => Ok(0),
        other => Err(complaint(format!(
            "lookup `url`: `follow_redirects` is `{other}`, not one of all, none, safe, urllib2"
        ))),
    }
}

/// As Python splits bytes: an end of a line is `\n`, `\r` or `\r\n`, and the last one is followed by no line.
fn lines(text: &str) -> impl Iterator<Item = String> {
    let none = text.is_empty();
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    lines.into_iter().skip(usize::from(none))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_as_in_python() {
        let split = |text| lines(text).collect::<Vec<_>>();
        assert_eq!(split("a\r\nb\rc\n\nd"), ["a", "b", "c", "", "d"]);
        assert_eq!(split("a\n"), ["a"]);
        assert_eq!(split("\n"), [""]);
        assert!(split("").is_empty());
    }
}
