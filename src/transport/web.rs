//! What is behind a URL, fetched by this machine.

use std::time::Duration;

/// Larger than any text that somebody would apply.
const LARGEST: u64 = 32 << 20;

/// From the connection to the last byte.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is asked for, and how.
pub struct Fetch {
    pub url: String,
    /// How the program names itself.
    pub agent: String,
    pub headers: Vec<(String, String)>,
    /// The value of `Authorization`.
    pub authorization: Option<String>,
    /// It is sent before the server asks for it.
    pub authorizes_at_once: bool,
    /// Until the connection is there, and until the server says something.
    pub patience: Duration,
    pub validates_certificates: bool,
    /// A proxy that the environment names is used.
    pub uses_proxy: bool,
    /// How often the server may send to another place.
    pub redirects: u32,
}

impl Fetch {
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            agent: concat!("vmstation/", env!("CARGO_PKG_VERSION")).to_owned(),
            headers: Vec::new(),
            authorization: None,
            authorizes_at_once: false,
            patience: Duration::from_secs(10),
            validates_certificates: true,
            uses_proxy: true,
            redirects: 10,
        }
    }

    fn agent(&self) -> ureq::Agent {
        let tls = ureq::tls::TlsConfig::builder().disable_verification(!self.validates_certificates);
        let mut config = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE.max(self.patience)))
            .timeout_connect(Some(self.patience))
            .timeout_recv_response(Some(self.patience))
            .max_redirects(self.redirects)
            .tls_config(tls.build())
            .user_agent(&self.agent);
        if !self.uses_proxy {
            config = config.proxy(None);
        }
        config.build().into()
    }

    fn send(&self, agent: &ureq::Agent, authorization: Option<&str>) -> Answer {
        let mut request = agent.get(&self.url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(authorization) = authorization {
            request = request.header("Authorization", authorization);
        }
        request.call()
    }

    /// Sends who we are at once, or when the server asks for it.
    fn answer(&self) -> Answer {
        let agent = self.agent();
        let authorization = self.authorization.as_deref();
        if self.authorizes_at_once {
            return self.send(&agent, authorization);
        }
        match self.send(&agent, None) {
            Err(ureq::Error::StatusCode(401)) if authorization.is_some() => self.send(&agent, authorization),
            answer => answer,
        }
    }
}

type Answer = Result<ureq::http::Response<ureq::Body>, ureq::Error>;

/// The text behind an http or https URL; the error is a sentence with a way out.
///
/// Blocks until all of it is here.
pub fn fetch(request: &Fetch) -> Result<String, String> {
    let wrong = |error: ureq::Error| explained(&request.url, &error);
    let mut response = request.answer().map_err(wrong)?;
    let status = response.status();
    if !status.is_success() {
        return Err(explained(&request.url, &ureq::Error::StatusCode(status.as_u16())));
    }
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

    fn answering(answer: &'static str) -> Fetch {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/m.yml", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        Fetch::new(&url)
    }

    #[test]
    fn the_text_behind_a_url() {
        let url = answering("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nkind: X\n");
        assert_eq!(fetch(&url).unwrap(), "kind: X\n");
    }

    #[test]
    fn a_place_that_is_not_followed_is_no_text() {
        let mut request =
            answering("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n");
        request.redirects = 0;
        assert!(
            fetch(&request)
                .unwrap_err()
                .ends_with("the server answered with 302")
        );
    }

    #[test]
    fn what_is_not_there_or_cannot_be_reached() {
        let url = answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        assert!(fetch(&url).unwrap_err().ends_with("the server answered with 404"));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let said = fetch(&Fetch::new(&url)).unwrap_err();
        assert!(
            said.contains("cannot be fetched by this machine") && said.contains("help:"),
            "{said}"
        );
    }
}
