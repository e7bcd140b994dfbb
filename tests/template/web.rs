//! `lookup('url')`, against servers of this test's own.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use vmstation::template::{Controller, Engine, Moment, Scope, TemplateError};
use vmstation::vars::Value;

use super::Vars;

const OK: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\none\r\ntwo\r\n";
const WHO: &str = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const ELSEWHERE: &str =
    "HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Where it is, and what it is asked: a text for each request, in lower case.
fn server(answers: &'static [&'static str]) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for answer in answers {
            let (stream, _) = listener.accept().unwrap();
            let mut stream = BufReader::new(stream);
            let mut asked = String::new();
            while !asked.ends_with("\r\n\r\n") && stream.read_line(&mut asked).unwrap() > 0 {}
            sender.send(asked.to_lowercase()).unwrap();
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    (url, receiver)
}

fn look(url: &str, options: &str, vars: &[(&str, &str)]) -> Result<Value, TemplateError> {
    let mut all: BTreeMap<String, Value> = vars
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
        .collect();
    all.insert("url".into(), Value::from(url));
    let scope: Arc<dyn Scope> = Arc::new(Vars(all));
    let text = format!("{{{{ q('ansible.builtin.url', url{options}) }}}}");
    Engine::new(Arc::new(Controller)).render(&Value::written(&text, None), &scope, Moment::Turn)
}

fn wrong(url: &str, options: &str) -> String {
    match look(url, options, &[]) {
        Err(TemplateError::Failed(why)) => why.to_string(),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_text_is_lines_or_whole() {
    let (url, _asked) = server(&[OK, OK]);
    let lines = Value::list(["one", "two"].map(Value::from));
    assert_eq!(look(&url, "", &[]).unwrap(), lines);
    let whole = look(&url, ", split_lines=False", &[]).unwrap();
    assert_eq!(whole, Value::list([Value::from("one\r\ntwo\r\n")]));
}

#[test]
fn a_request_says_what_it_was_told() {
    let (url, asked) = server(&[OK, OK]);
    let variable = [("ansible_lookup_url_agent", "mine/1")];
    look(
        &url,
        ", headers={'X-One': 'Uno', 'X-Two': 2}, force=true",
        &variable,
    )
    .unwrap();
    let said = asked.recv().unwrap();
    for line in [
        "user-agent: mine/1\r\n",
        "x-one: uno\r\n",
        "x-two: 2\r\n",
        "cache-control: no-cache\r\n",
    ] {
        assert!(said.contains(line), "{said}");
    }
    look(&url, "", &[]).unwrap();
    let said = asked.recv().unwrap();
    assert!(said.contains("user-agent: ansible-httpget\r\n"), "{said}");
    assert!(!said.contains("cache-control"), "{said}");
}

#[test]
fn who_asks_is_said_when_the_server_wants_to_know() {
    let (url, asked) = server(&[WHO, OK, OK]);
    let login = ", username='bob', password='hunter2'";
    // bob:hunter2
    let header = "authorization: basic ym9iomh1bnrlcji=\r\n";
    look(&url, login, &[]).unwrap();
    assert!(!asked.recv().unwrap().contains("authorization"));
    assert!(asked.recv().unwrap().contains(header));
    look(&url, &format!("{login}, force_basic_auth=True"), &[]).unwrap();
    assert!(asked.recv().unwrap().contains(header));
}

#[test]
fn another_place_is_followed_unless_it_must_not_be() {
    let (url, asked) = server(&[ELSEWHERE, OK, ELSEWHERE]);
    look(&url, "", &[]).unwrap();
    assert!(asked.recv().unwrap().starts_with("get /x "));
    assert!(asked.recv().unwrap().starts_with("get /there "));
    let said = wrong(&url, ", follow_redirects='none'");
    assert!(said.contains("the server answered with 302"), "{said}");
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for_longer_than_wanted() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let began = Instant::now();
    let said = wrong(&url, ", timeout=0.3");
    assert!(said.contains("cannot be fetched by this machine"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    for (options, want) in [
        (", ca_path='/x'", "the option `ca_path` is not supported"),
        (", unix_socket='/x'", "the option `unix_socket` is not supported"),
        (", ciphers=['a']", "the option `ciphers` is not supported"),
        (", use_gssapi=true", "the option `use_gssapi` is not supported"),
        (", use_netrc=true", "the option `use_netrc` is not supported"),
        (
            ", unredirected_headers=['a']",
            "the option `unredirected_headers`",
        ),
        (", follow_redirects='some'", "`follow_redirects` is `some`"),
        (", timeout='soon'", "`timeout` is no time"),
        (", headers=['a']", "`headers` is no mapping"),
        (", tmeout=1", "has no option `tmeout`"),
    ] {
        let said = wrong("file:///proc/sys/kernel/ostype", options);
        assert!(said.contains(want), "{options}: {said}");
    }
    let harmless = ", use_gssapi=false, use_netrc=false, ca_path=None";
    assert!(look("file:///proc/sys/kernel/ostype", harmless, &[]).is_ok());
}
