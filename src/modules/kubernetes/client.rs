//! Calls of kubectl: many in one script, each with its output, its complaints and its status apart.

use std::fmt::Write;
use std::sync::Arc;

use super::connection::Connection;
use super::kinds;
use super::object::{Id, Json};
use super::words;
use crate::host::question::{Feed, Look};
use crate::host::{Change, Halt, Host, Output, Script, fail, quote};
use crate::modules::process::words::expanded;

/// The name under which fields are ours in an object's `managedFields`.
pub const FIELD_MANAGER: &str = "vmstation";

/// A program that is called for a cluster, and how.
#[derive(Debug, Clone)]
pub struct Client {
    setup: String,
    program: String,
    /// The words of the connection, in `sh`.
    words: String,
}

/// One call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Call {
    /// Not yet quoted.
    pub words: Vec<String>,
    pub input: Option<String>,
    /// It is made only if all before it went well.
    pub if_well: bool,
    /// It is about so many objects that it is ended when the server has stopped answering: kubectl would try each of
    /// them, ten seconds long.
    is_long: bool,
}

/// What became of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    pub stdout: String,
    pub stderr: String,
    pub status: i32,
    /// Where the server should be, by the kubeconfig, if it could not be reached.
    pub server: Option<String>,
}

/// From how many objects on a call is long.
const MANY: usize = 4;

/// How a script tells where the server should be, among what the program complains of.
const SERVER: &str = "vmstation: the server is ";

/// Ends a process (the first word; the others are those of the connection) when the server has twice not answered.
/// What it starts holds none of the caller's pipes.
const WATCH: &str = r#"vmstation_w() (
    exec </dev/null >/dev/null 2>&1 3>&- 4<&- 5>&-
    n=0 a=0 k=$1
    shift
    while sleep 1 && kill -0 "$k"; do
        n=$((n + 1))
        [ $((n % 10)) = 0 ] || continue
        case $(vmstation_p "$@" get --raw /readyz --request-timeout=10s 2>&1) in
        *'nable to connect'* | *' was refused'* | *imeout* | *xceeded*) a=$((a + 1)) ;;
        *) a=0 ;;
        esac
        [ $a -lt 2 ] || kill "$k"
    done
)
"#;

/// A look at objects that are named on the standard input.
pub const LOOK: [&str; 6] = ["get", "-f", "-", "-o", "json", "--ignore-not-found"];

impl Call {
    pub fn new(words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            words: words.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    #[must_use]
    pub fn word(mut self, word: impl Into<String>) -> Self {
        self.words.push(word.into());
        self
    }

    #[must_use]
    pub fn words(mut self, words: impl IntoIterator<Item = String>) -> Self {
        self.words.extend(words);
        self
    }

    /// The same, asking the server what it would make of it.
    #[must_use]
    pub fn dry(&self) -> Self {
        self.clone().word("--dry-run=server")
    }

    /// `-n NAMESPACE`, where there is one.
    #[must_use]
    pub fn namespace(self, namespace: Option<&str>) -> Self {
        match namespace {
            Some(namespace) => self.word("-n").word(namespace),
            None => self,
        }
    }

    #[must_use]
    pub fn input(mut self, input: impl Into<String>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// Objects one behind the other, for `-f -`: of the items of a list kubectl tells no names when it complains.
    #[must_use]
    pub fn objects<'a>(self, objects: impl IntoIterator<Item = &'a Json>) -> Self {
        let texts: Vec<String> = objects.into_iter().map(Json::to_string).collect();
        let is_long = texts.len() >= MANY;
        Self {
            is_long,
            ..self.input(texts.join("\n"))
        }
    }
}

impl Said {
    fn new(stdout: String, complaints: &str, status: i32) -> Self {
        let (mut stderr, mut server) = (complaints.to_string(), None);
        if let Some((before, after)) = complaints.rsplit_once(SERVER) {
            let address = after.trim();
            server = Some(address.trim_start_matches("https://").to_string()).filter(|a| !a.is_empty());
            stderr = before.to_string();
        }
        Self {
            stdout,
            stderr,
            status,
            server,
        }
    }

    pub fn ok(&self) -> bool {
        self.status == 0
    }

    /// The objects that were printed, lists taken apart.
    pub fn objects(&self) -> Vec<Json> {
        let mut objects = Vec::new();
        // Where a call fails halfway, what it printed before counts.
        for value in serde_json::Deserializer::from_str(&self.stdout)
            .into_iter::<Json>()
            .map_while(Result::ok)
        {
            match value {
                Json::Object(mut list) if list.get("kind").is_some_and(|kind| kind == "List") => {
                    if let Some(Json::Array(items)) = list.remove("items") {
                        objects.extend(items);
                    }
                }
                other => objects.push(other),
            }
        }
        objects
    }
}

impl Client {
    pub fn kubectl(host: &Host, connection: &Connection) -> Result<Self, Halt> {
        Ok(Self {
            setup: connection.kubectl(host)?,
            program: "kubectl".to_string(),
            words: " \"$@\"".to_string(),
        })
    }

    /// Another program than kubectl, which finds the connection in its environment.
    pub fn of(program: &str, setup: String) -> Self {
        Self {
            setup,
            program: expanded(program),
            words: String::new(),
        }
    }

    /// The calls as one script: behind what each printed come its status and its complaints, parted by NUL.
    pub fn script(&self, calls: &[Call]) -> String {
        let mut text = format!("{}exec 3>&1\nvmstation_a=0\n{}", self.setup, self.whereabouts());
        if calls.iter().any(|call| call.is_long) {
            let _ = writeln!(text, "vmstation_p() {{ {} \"$@\"; }}", self.program);
            text.push_str(WATCH);
        }
        for call in calls {
            let words: Vec<String> = call.words.iter().map(|word| quote(word)).collect();
            let (before, input) = match &call.input {
                Some(input) => (format!("printf %s {} | ", quote(input)), ""),
                None => (String::new(), " </dev/null"),
            };
            if call.if_well {
                text.push_str("[ $vmstation_a = 0 ] || exit 0\n");
            }
            let made = format!("{}{} {}", self.program, self.words, words.join(" "));
            let made = if call.is_long {
                let words = &self.words;
                format!(
                    "{{ exec 4<&0 5>&2; {made} <&4 4<&- 5>&- & vmstation_k=$!; vmstation_w $vmstation_k{words} &
                     exec 2>/dev/null; wait $vmstation_k; vmstation_s=$?; kill $!
                     [ $vmstation_s != 143 ] || echo 'error: Unable to connect to the server: it has stopped answering' >&5
                     exit $vmstation_s; }}"
                )
            } else {
                format!("{made}{input}")
            };
            let _ = writeln!(
                text,
                "vmstation_e=$({{ {before}{made}; }} 2>&1 >&3 3>&-); vmstation_s=$?\n\
                 [ $vmstation_s = 0 ] || {{ vmstation_a=$vmstation_s; vmstation_i \"$@\"; }}\n\
                 printf '\\0%s\\0%s\\0' \"$vmstation_s\" \"$vmstation_e\"",
            );
        }
        text
    }

    /// A function of `sh` that adds where the server should be to complaints that it cannot be reached, which often
    /// do not say it.
    fn whereabouts(&self) -> String {
        format!(
            "vmstation_i() {{ case $vmstation_e in *'nable to connect'* | *'connection lost'* | *imeout* | *EOF* | \
             *'connection reset'*) vmstation_e=\"$vmstation_e\n{SERVER}$({})\" ;; esac; }}\n",
            self.server()
        )
    }

    /// Prints the server's address.
    fn server(&self) -> String {
        if self.program != "kubectl" {
            return ":".to_string();
        }
        format!(
            "kubectl{} config view --minify -o 'jsonpath={{.clusters[0].cluster.server}}' 2>/dev/null",
            self.words
        )
    }

    /// The objects of these names, as far as they are there, perhaps ahead of the task's turn. Among them may be
    /// others that other tasks have asked for in the same moment: all is one call.
    pub async fn get(&self, host: &Host, ids: &[&Id]) -> Result<Said, Halt> {
        self.get_with(host, ids, &LOOK).await
    }

    /// The same with `managedFields`.
    pub async fn get_managed(&self, host: &Host, ids: &[&Id]) -> Result<Said, Halt> {
        let words = [&LOOK[..], &["--show-managed-fields"]].concat();
        self.get_with(host, ids, &words).await
    }

    async fn get_with(&self, host: &Host, ids: &[&Id], words: &[&str]) -> Result<Said, Halt> {
        let stubs: Vec<Json> = ids.iter().map(|id| id.stub()).collect();
        // Beside others nobody could tell which of two is that of the connection's own namespace.
        let alone = |id: &&Id| id.namespace.is_none() && !kinds::is_of_the_cluster(&id.kind);
        if ids.iter().any(alone) {
            let call = Call::new(words.iter().copied()).objects(&stubs);
            let said = self.ask(host, "kubectl get", &[call]).await?;
            return said
                .into_iter()
                .next()
                .ok_or_else(|| fail("kubectl was not called"));
        }
        let lines: Vec<String> = stubs.iter().map(Json::to_string).collect();
        let feed = Feed {
            label: "kubectl get".into(),
            script: format!(
                "{}{}{} {} || {{ vmstation_s=$?; echo \"{SERVER}$({})\" >&2; exit $vmstation_s; }}",
                self.setup,
                self.program,
                self.words,
                words.join(" "),
                self.server()
            )
            .into(),
            input: lines.join("\n").into(),
        };
        let output = host.ask(feed).await?;
        let said = Said::new(output.stdout_text(), &output.stderr_text(), output.status);
        self.found(host, &said)?;
        Ok(said)
    }

    /// Looks, perhaps ahead of the task's turn.
    pub async fn ask(&self, host: &Host, label: &str, calls: &[Call]) -> Result<Vec<Said>, Halt> {
        let output = host.ask(Look::new(label, self.script(calls))).await?;
        self.said(host, &output)
    }

    /// Looks at the task's turn.
    pub async fn ask_now(&self, host: &Host, label: &str, calls: &[Call]) -> Result<Vec<Said>, Halt> {
        let output = host.ask_now(Script::new(label, self.script(calls))).await?;
        self.said(host, &output)
    }

    pub async fn change(&self, host: &Host, what: Change, calls: &[Call]) -> Result<Vec<Said>, Halt> {
        let label: Arc<str> = what.what.as_str().into();
        let output = host.change(what, Script::new(label, self.script(calls))).await?;
        self.said(host, &output)
    }

    /// A change of which a dry run asks the server what it would say: what is refused is told then. What is missing
    /// may come of an earlier task.
    pub async fn change_or_ask(
        &self,
        host: &Host,
        what: Change,
        calls: &[Call],
        asked: &[Call],
    ) -> Result<Vec<Said>, Halt> {
        if host.check() {
            let said = self.ask_now(host, "kubectl --dry-run=server", asked).await?;
            let may_come = |said: &Said| host.awaits_changes() && words::is_missing(said);
            if said.iter().any(|said| !(said.ok() || may_come(said))) {
                return Ok(said);
            }
        }
        self.change(host, what, calls).await
    }

    /// Alters what does not count as a change.
    pub async fn act(&self, host: &Host, label: &str, calls: &[Call]) -> Result<Vec<Said>, Halt> {
        let output = host.act(Script::new(label, self.script(calls))).await?;
        if host.check() {
            // It was not done.
            return Ok(Vec::new());
        }
        self.said(host, &output)
    }

    fn said(&self, host: &Host, output: &Output) -> Result<Vec<Said>, Halt> {
        let mut said = read(&output.stdout_text());
        let is_called = !said.is_empty();
        if !is_called {
            said.push(Said::new(String::new(), &output.stderr_text(), output.status));
        }
        said.iter().try_for_each(|said| self.found(host, said))?;
        match said.first() {
            Some(said) if !is_called => Err(words::refused(&format!("call {}", self.program), said)),
            _ => Ok(said),
        }
    }

    /// Fails if the host has no such program. In a dry run an earlier task may be what would bring it, or the
    /// kubeconfig.
    fn found(&self, host: &Host, said: &Said) -> Result<(), Halt> {
        let has_program = said.status != 127;
        if host.awaits_changes() {
            let lack = if has_program {
                words::lacks_kubeconfig(said)
            } else {
                Some(format!("`{}`, which the host has not got", self.program))
            };
            return lack.map_or(Ok(()), |lack| Err(Halt::Unknown(lack.into())));
        }
        if has_program {
            return Ok(());
        }
        Err(fail(format!(
            "the host has no `{program}`: install it, or add its directory to `PATH` in the task's `environment`, or \
             run the task where it is, with `delegate_to`",
            program = self.program
        )))
    }
}

/// Takes apart what a script printed; a call that was not made has nothing.
fn read(text: &str) -> Vec<Said> {
    let mut parts = text.split('\0');
    let mut said = Vec::new();
    while let (Some(stdout), Some(status), Some(stderr)) = (parts.next(), parts.next(), parts.next()) {
        said.push(Said::new(
            stdout.to_string(),
            stderr,
            status.parse().unwrap_or(-1),
        ));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(calls: &[Call]) -> Vec<Said> {
        let client = Client {
            setup: String::new(),
            program: "sh".to_string(),
            words: " -c".to_string(),
        };
        let output = std::process::Command::new("sh")
            .args(["-c", &client.script(calls)])
            .output()
            .unwrap();
        read(&String::from_utf8_lossy(&output.stdout))
    }

    #[test]
    fn each_call_has_its_own_words() {
        let said = sh(&[
            Call::new(["cat; echo no >&2; exit 3"]).input("it's"),
            Call::new(["echo two"]),
        ]);
        let (first, second) = (&said[0], &said[1]);
        assert_eq!((&*first.stdout, &*first.stderr, first.status), ("it's", "no", 3));
        assert_eq!(
            (&*second.stdout, &*second.stderr, second.status),
            ("two\n", "", 0)
        );
    }

    #[test]
    fn nothing_is_done_behind_what_failed() {
        let said = sh(&[
            Call::new(["false"]),
            Call {
                if_well: true,
                ..Call::new(["echo two"])
            },
        ]);
        assert_eq!(said.len(), 1);
    }

    #[test]
    fn objects_come_as_a_list_or_one_by_one() {
        let said = Said {
            stdout: r#"{"kind":"Pod","a":1}{"kind":"List","items":[{"kind":"Pod","a":2}]}{"kind":"#.into(),
            ..Said::default()
        };
        let found: Vec<i64> = said.objects().iter().map(|o| o["a"].as_i64().unwrap()).collect();
        assert_eq!(found, [1, 2]);
    }
}
