//! What is behind a URL, fetched by this machine.

use std::time::Duration;

/// Larger than any text that somebody would apply.
const LARGEST: u64 = 32 << 20;

/// From the connection to the last byte.
const PATIENCE: Duration = Duration::from_secs(60);

/// The text behind an http or https URL; the error is a sentence with a way out.
///
/// Blocks until all of it is here.
pub fn fetch(url: &str) -> Result<String, String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .timeout_connect(Some(Duration::from_secs(10)))
        .user_agent(concat!("vmstation/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let wrong = |error: ureq::Error| explained(url, &error);
    let mut response = agent.get(url).call().map_err(wrong)?;
    let body = response.body_mut().with_config().limit(LARGEST);
    body.read_to_string().map_err(wrong)
}

fn explained(url: &str, error: &ureq::Error) -> String {
    match error {
        ureq::Error::StatusCode(status) => {
            format!("{url} cannot be fetched: the server answered with {status}")
        }
        ureq::Error::Io(why) => unreachable(url, why),
        other => unreachable(url, other),
    }
}

fn unreachable(url: &str, why: &dyn std::fmt::Display) -> String {
    format!(
        "{url} cannot be fetched by this machine: {why}\nhelp: without a way out, keep the file in the project \
             and name it by its path; behind a proxy, set HTTPS_PROXY"
    )
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    fn answering(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/m.yml", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        url
    }

    #[test]
    fn the_text_behind_a_url() {
        let url = answering("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nkind: X\n");
        assert_eq!(fetch(&url).unwrap(), "kind: X\n");
    }

    #[test]
    fn what_is_not_there_or_cannot_be_reached() {
        let url = answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        assert!(fetch(&url).unwrap_err().ends_with("the server answered with 404"));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let said = fetch(&url).unwrap_err();
        assert!(
            said.contains("cannot be fetched by this machine") && said.contains("help:"),
            "{said}"
        );
    }
}
