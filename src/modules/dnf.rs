//! `dnf`: packages of RHEL, Fedora and their kin, by dnf 4 or dnf 5; `yum` leads here.
//!
//! ```yaml
//! - dnf:
//!     name: [jq, conntrack-tools, "@core"]
//!     state: present
//! - dnf:
//!     name: kubelet-1.29.15
//!     disable_excludes: kubernetes
//! - dnf:
//!     name: firewalld
//!     state: absent
//!     autoremove: true
//! - dnf:
//!     name: "*"
//!     state: latest
//!     security: true
//! ```
//!
//! What is installed is asked of rpm, capabilities and files included; so a package that is there is left alone
//! even if its repository excludes it. dnf itself runs only when something is missing, at the task's turn, once
//! for all packages. `latest` asks dnf each time.
//!
//! Returns `results` (what was installed and removed), `msg`, `rc`; on failure also `failures`.
//!
//! Refused by name: `list` (use `package_facts`), `download_only` and `download_dir`, `installroot` other than `/`.
//! `lock_timeout` is how long another dnf is waited for.

use std::fmt::Write;

use serde::Deserialize;

use super::packages::rpm::{self, Spec};
use super::packages::{Transaction, aside};
use super::process::environment;
use super::{Module, Rule};
use crate::host::question::{Answer, Installed, Look, Package, PackageDatabase, Question};
use crate::host::{Change, Failure, Halt, Host, Outcome, Output, Script, quote};
use crate::vars::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "they are Ansible's options")]
pub struct Dnf {
    #[serde(default, alias = "pkg")]
    name: Vec<String>,
    state: Option<State>,
    #[serde(default)]
    allow_downgrade: bool,
    #[serde(default)]
    allowerasing: bool,
    #[serde(default)]
    autoremove: bool,
    best: Option<bool>,
    nobest: Option<bool>,
    #[serde(default)]
    bugfix: bool,
    #[serde(default)]
    security: bool,
    #[serde(default)]
    cacheonly: bool,
    conf_file: Option<String>,
    disable_excludes: Option<String>,
    #[serde(default)]
    disable_gpg_check: bool,
    #[serde(default)]
    disable_plugin: Vec<String>,
    #[serde(default)]
    enable_plugin: Vec<String>,
    #[serde(default)]
    disablerepo: Vec<String>,
    #[serde(default)]
    enablerepo: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
    #[serde(default)]
    download_only: bool,
    download_dir: Option<String>,
    /// Does nothing in Ansible either.
    #[serde(default, rename = "install_repoquery")]
    _install_repoquery: bool,
    #[serde(default = "yes")]
    install_weak_deps: bool,
    installroot: Option<String>,
    list: Option<String>,
    #[serde(default = "lock_timeout")]
    lock_timeout: i64,
    releasever: Option<String>,
    #[serde(default)]
    skip_broken: bool,
    #[serde(default = "yes")]
    sslverify: bool,
    #[serde(default = "yes")]
    validate_certs: bool,
    #[serde(default, alias = "expire-cache")]
    update_cache: bool,
    #[serde(default)]
    update_only: bool,
    #[serde(default)]
    use_backend: Backend,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum State {
    Present,
    Installed,
    Latest,
    Absent,
    Removed,
}

#[derive(Deserialize, Clone, Copy, Default)]
#[serde(rename_all = "lowercase")]
enum Backend {
    #[default]
    Auto,
    Dnf,
    Dnf4,
    Dnf5,
    Yum,
    Yum4,
}

fn yes() -> bool {
    true
}

fn lock_timeout() -> i64 {
    30
}

/// The script's status when another dnf held the lock for too long.
const LOCKED: i32 = 75;

impl Module for Dnf {
    const NAME: &'static str = "dnf";
    const RULES: &'static [Rule] = &[Rule::Exclusive(&["best", "nobest"])];
    const ALSO: &'static [&'static str] = &["ansible.builtin.yum"];

    fn check(&self) -> Result<(), Halt> {
        self.refuse_what_is_not_supported()
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let specs: Vec<Spec> = self
            .name
            .iter()
            .filter(|name| !name.trim().is_empty())
            .map(|name| Spec::parse(name))
            .collect();
        if specs.is_empty() && self.update_cache {
            return self.update(host).await;
        }
        match self.state {
            Some(State::Absent | State::Removed) => self.remove(host, &specs).await,
            None if self.autoremove => self.remove(host, &specs).await,
            Some(State::Latest) => self.install_latest(host, &specs).await,
            _ => self.install_missing(host, &specs).await,
        }
    }
}

impl Dnf {
    fn refuse_what_is_not_supported(&self) -> Result<(), Halt> {
        let refused = [
            (
                self.list.is_some(),
                "`list` is not supported: use `package_facts`",
            ),
            (
                self.download_only || self.download_dir.is_some(),
                "`download_only` and `download_dir` are not supported: run `dnf download` by `command`",
            ),
            (
                self.installroot.as_deref().is_some_and(|root| root != "/"),
                "`installroot` is not supported but for `/`",
            ),
            (
                self.autoremove
                    && matches!(
                        self.state,
                        Some(State::Present | State::Installed | State::Latest)
                    ),
                "Autoremove should be used alone or with state=absent",
            ),
        ];
        match refused.iter().find(|(refused, _)| *refused) {
            Some((_, why)) => Err(Failure::new(*why).with("results", Value::list([])).into()),
            None => Ok(()),
        }
    }

    async fn update(&self, host: &Host) -> Result<Outcome, Halt> {
        let script = format!("{}{} makecache --refresh", self.prelude(host)?, self.program());
        let output = host.act(Script::new("update the package lists", script)).await?;
        if !output.ok() {
            return Err(failed(&output));
        }
        Ok(outcome("Cache updated", Vec::new()))
    }

    async fn install_missing(&self, host: &Host, specs: &[Spec]) -> Result<Outcome, Halt> {
        let known = look(host, specs).await?;
        let mut wanted = Vec::new();
        let mut results = Vec::new();
        for (spec, installed) in specs.iter().zip(&known) {
            match spec {
                // dnf alone knows what belongs to them.
                Spec::Group(_) | Spec::Pattern(_) => wanted.push(spec.word()),
                Spec::File(path) => {
                    if !self.has_file(host, path).await? {
                        wanted.push(path.clone());
                    }
                }
                Spec::Name(_) | Spec::Compared { .. } if spec.is_met_by(installed) => {}
                _ if self.update_only => {
                    let word = spec.word();
                    results.push(format!(
                        "Packages providing {word} not installed due to update_only specified"
                    ));
                }
                _ => wanted.push(spec.word()),
            }
        }
        if wanted.is_empty() {
            return Ok(outcome("Nothing to do", results));
        }
        let certain = known.iter().zip(specs).any(|(_, spec)| {
            matches!(spec, Spec::Name(_) | Spec::Compared { .. }) && wanted.contains(&spec.word())
        });
        self.transact(host, "install", "install", &wanted, certain, results)
            .await
    }

    async fn install_latest(&self, host: &Host, specs: &[Spec]) -> Result<Outcome, Halt> {
        let words: Vec<String> = specs.iter().map(Spec::word).collect();
        if words.iter().any(|word| word == "*") {
            return self
                .transact(host, "upgrade", "upgrade", &[], false, Vec::new())
                .await;
        }
        // `install` also brings an installed package up to date.
        let operation = if self.update_only { "upgrade" } else { "install" };
        self.transact(host, "bring up to date", operation, &words, false, Vec::new())
            .await
    }

    async fn remove(&self, host: &Host, specs: &[Spec]) -> Result<Outcome, Halt> {
        if specs.iter().any(|spec| matches!(spec, Spec::File(_))) {
            return Err(
                Failure::new("Cannot remove paths -- please specify package name.")
                    .with("results", Value::list([]))
                    .into(),
            );
        }
        let known = look(host, specs).await?;
        let is_there = |(spec, installed): &(&Spec, &Vec<Installed>)| {
            matches!(spec, Spec::Group(_)) || spec.is_met_by(installed)
        };
        let (there, missing): (Vec<_>, Vec<_>) = specs.iter().zip(&known).partition(is_there);
        let there: Vec<String> = there.iter().map(|(spec, _)| spec.word()).collect();
        let missing = missing.iter().map(|(spec, _)| spec.word());
        let missing = missing
            .map(|word| format!("No match for argument: {word}"))
            .collect();
        if specs.is_empty() && self.autoremove {
            return self
                .transact(
                    host,
                    "remove what nothing needs",
                    "autoremove",
                    &[],
                    false,
                    Vec::new(),
                )
                .await;
        }
        if there.is_empty() {
            return Ok(outcome("Nothing to do", missing));
        }
        let certain = specs.iter().all(|spec| !matches!(spec, Spec::Group(_)));
        self.transact(host, "remove", "remove", &there, certain, missing)
            .await
    }

    /// Whether the package in a file is installed, or a newer one.
    async fn has_file(&self, host: &Host, path: &str) -> Result<bool, Halt> {
        let query = format!(
            "rpm -qp --nosignature --qf '%{{NAME}} %|EPOCH?{{%{{EPOCH}}:}}|%{{VERSION}}-%{{RELEASE}}\\n' {}",
            quote(path)
        );
        let output = if path.contains("://") {
            host.ask_now(Script::new("read the package", query)).await?
        } else {
            host.ask(Look::new("package file", query)).await?
        };
        if !output.ok() {
            let said = output.stderr_text();
            return Err(Failure::new(format!(
                "Error occurred attempting remote rpm operation: {}",
                said.trim()
            ))
            .with("results", Value::list([]))
            .with("rc", 1_i64)
            .into());
        }
        let said = output.stdout_text();
        let Some((name, version)) = said.trim().split_once(' ') else {
            return Ok(false);
        };
        let installed = host.ask(by_name(name)).await?;
        Ok(installed.iter().any(|package| {
            let order = rpm::compare(&package.version, version);
            order.is_eq() || (order.is_gt() && !self.allow_downgrade)
        }))
    }

    /// One transaction, if dnf finds anything to do. `certain`: rpm has said that there is. `results`: what is to be
    /// said beside what it does.
    async fn transact(
        &self,
        host: &Host,
        verb: &str,
        operation: &str,
        words: &[String],
        certain: bool,
        mut results: Vec<String>,
    ) -> Result<Outcome, Halt> {
        let mut plan = Transaction::default();
        if !certain || host.check() || host.task().diff {
            let output = self.simulate(host, operation, words).await?;
            plan = rpm::planned(&output.stdout_text());
            if plan.is_empty() && !output.ok() {
                return Err(failed(&output));
            }
            if plan.is_empty() {
                return Ok(outcome("Nothing to do", results));
            }
        }
        let (before, after) = plan.before_and_after();
        let what = if plan.is_empty() {
            format!("{verb} {}", words.join(", "))
        } else {
            plan.in_words(verb, words)
        };
        let change = Change::new(&*what).difference("packages", before, after);
        // A transaction is not left half done because nobody reads what it says any more.
        let script = format!(
            "{}trap '' PIPE\nsaid=$( {} )\nrc=$?\nprintf '%s\\n' \"$said\"\nexit \"$rc\"\n",
            self.prelude(host)?,
            self.command("-y", operation, words)
        );
        let output = host.change(change, Script::new(what, script)).await?;
        if !output.ok() {
            return Err(failed(&output));
        }
        let said = output.stdout_text();
        results.extend(rpm::done(&said));
        let nothing = said.lines().any(|line| line.starts_with("Nothing to do"));
        Ok(Outcome {
            unchanged: nothing,
            ..outcome(if nothing { "Nothing to do" } else { "" }, results)
        })
    }

    /// Asks what dnf would do. It may have to fetch the lists for that: they are kept, but by a dry run.
    async fn simulate(&self, host: &Host, operation: &str, words: &[String]) -> Result<Output, Halt> {
        let prelude = self.prelude(host)?;
        let command = self.command("--assumeno", operation, words);
        let what = "ask what dnf would do";
        if host.check() {
            return host
                .ask_now(Script::new(what, format!("{prelude}{}", aside(&command))))
                .await;
        }
        host.act(Script::new(what, format!("{prelude}{command}"))).await
    }

    /// The environment, and a wait for another dnf: left alone, dnf would wait without end.
    fn prelude(&self, host: &Host) -> Result<String, Halt> {
        Ok(format!(
            "{environment}export LC_ALL=C LANGUAGE=C\numask 022\nleft={timeout}\n\
             held() {{ for f in /var/cache/dnf/*_lock.pid /run/dnf/*_lock.pid; do\n\
             if read -r pid <\"$f\"; then [ -d \"/proc/$pid\" ] && return 0; fi; done 2>/dev/null; return 1; }}\n\
             while held; do [ \"$left\" -gt 0 ] || {{ echo \"dnf lockfile is held by another process\" >&2; exit {LOCKED}; }}\n\
             left=$((left - 1)); sleep 1; done\n",
            environment = environment(host)?,
            timeout = self.lock_timeout,
        ))
    }

    fn program(&self) -> String {
        match self.use_backend {
            Backend::Auto | Backend::Dnf | Backend::Yum => "dnf".to_string(),
            Backend::Dnf4 | Backend::Yum4 => "$(command -v dnf-3 || echo dnf)".to_string(),
            Backend::Dnf5 => "dnf5".to_string(),
        }
    }

    fn command(&self, answer: &str, operation: &str, words: &[String]) -> String {
        let mut command = format!("{} {answer}", self.program());
        let mut option = |text: String| {
            let _ = write!(command, " {}", quote(&text));
        };
        // `--setopt` is what dnf 4 and dnf 5 spell alike.
        if let Some(file) = &self.conf_file {
            option(format!("--config={file}"));
        }
        if let Some(release) = &self.releasever {
            option(format!("--releasever={release}"));
        }
        if let Some(which) = &self.disable_excludes {
            option(format!("--setopt=disable_excludes={which}"));
        }
        let lists = [
            ("--disablerepo", &self.disablerepo),
            ("--enablerepo", &self.enablerepo),
            ("--exclude", &self.exclude),
            ("--disableplugin", &self.disable_plugin),
            ("--enableplugin", &self.enable_plugin),
        ];
        for (name, values) in lists {
            for value in values.iter().filter(|v| !v.is_empty()) {
                option(format!("{name}={value}"));
            }
        }
        let best = self.best.or(self.nobest.map(|nobest| !nobest));
        let removes = ["remove", "autoremove"].contains(&operation);
        let autoremove = if self.autoremove { "True" } else { "False" };
        let switches = [
            (best == Some(true), "--setopt=best=True"),
            (best == Some(false), "--setopt=best=False"),
            (!self.install_weak_deps, "--setopt=install_weak_deps=False"),
            (
                !(self.sslverify && self.validate_certs),
                "--setopt=sslverify=False",
            ),
            (self.disable_gpg_check, "--setopt=gpgcheck=False"),
            (self.disable_gpg_check, "--setopt=localpkg_gpgcheck=False"),
            (self.disable_gpg_check, "--setopt=*.gpgcheck=False"),
            (self.disable_gpg_check, "--setopt=*.repo_gpgcheck=False"),
            (self.skip_broken, "--skip-broken"),
            (self.allowerasing && !removes, "--allowerasing"),
            (self.cacheonly, "--cacheonly"),
            (self.update_cache, "--refresh"),
            (self.security, "--security"),
            (self.bugfix, "--bugfix"),
        ];
        for (_, switch) in switches.iter().filter(|(on, _)| *on) {
            option((*switch).to_string());
        }
        if operation == "remove" {
            option(format!("--setopt=clean_requirements_on_remove={autoremove}"));
        }
        let _ = write!(command, " {operation}");
        for word in words {
            let _ = write!(command, " {}", quote(word));
        }
        command
    }
}

fn by_name(name: &str) -> Package {
    Package {
        database: PackageDatabase::Rpm,
        name: name.to_string(),
    }
}

/// What rpm knows of each, in one round trip; nothing of groups and files.
async fn look(host: &Host, specs: &[Spec]) -> Result<Vec<Vec<Installed>>, Halt> {
    let questions = specs.iter().filter_map(question).collect();
    let mut answers = host.ask_each(questions).await?.into_iter();
    let installed = |spec: &Spec| match question(spec).and_then(|_| answers.next()) {
        Some(Answer::Package(installed)) => installed,
        Some(Answer::Look(output)) => output.stdout_text().lines().filter_map(record).collect(),
        _ => Vec::new(),
    };
    Ok(specs.iter().map(installed).collect())
}

fn question(spec: &Spec) -> Option<Question> {
    Some(match spec {
        Spec::Name(name) | Spec::Compared { name, .. } => by_name(name).into(),
        Spec::Pattern(pattern) => Look::new(
            "packages by pattern",
            format!(
                "rpm -qa --qf '%{{NAME}} %{{VERSION}}-%{{RELEASE}} %{{ARCH}}\\n' {}",
                quote(pattern)
            ),
        )
        .into(),
        Spec::Group(_) | Spec::File(_) => return None,
    })
}

fn record(line: &str) -> Option<Installed> {
    let mut words = line.split(' ');
    Some(Installed {
        name: words.next()?.to_string(),
        version: words.next()?.to_string(),
        architecture: words.next()?.to_string(),
        status: String::new(),
    })
}

fn outcome(msg: &str, results: Vec<String>) -> Outcome {
    Outcome::new()
        .with("msg", msg)
        .with("results", Value::list(results.into_iter().map(Value::from)))
        .with("rc", 0_i64)
}

fn failed(output: &Output) -> Halt {
    let (stdout, stderr) = (output.stdout_text(), output.stderr_text());
    let mut missing = rpm::without_match(&stdout);
    missing.extend(rpm::without_match(&stderr));
    let reason = || {
        let mut errors = stderr.lines().filter_map(|line| line.strip_prefix("Error: "));
        errors.next_back().unwrap_or(stderr.trim()).to_string()
    };
    let msg = match (output.status, missing.is_empty()) {
        (LOCKED, _) => "dnf lockfile is held by another process".to_string(),
        (_, true) => reason(),
        (_, false) => "Failed to install some of the specified packages".to_string(),
    };
    let failures = missing
        .iter()
        .map(|name| format!("No package {name} available.").into());
    Failure::new(msg)
        .with("failures", Value::list(failures))
        .with("results", Value::list([]))
        .with("rc", 1_i64)
        .with("stdout", stdout)
        .with("stderr", stderr)
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::{Argument, Arguments};

    fn dnf(options: &[(&str, Value)]) -> Dnf {
        let given = options.iter().map(|(name, value)| Argument {
            name: (*name).into(),
            value: value.clone(),
            name_span: None,
            value_span: None,
        });
        Arguments {
            given: given.collect(),
            span: None,
        }
        .read("dnf", Dnf::RULES)
        .unwrap()
    }

    #[test]
    fn the_command_line_is_one_for_both_versions() {
        let dnf = dnf(&[
            ("name", "kubelet".into()),
            ("disable_excludes", "kubernetes".into()),
            ("enablerepo", "a, b".into()),
            ("nobest", true.into()),
        ]);
        assert_eq!(
            dnf.command("-y", "install", &["kubelet".into()]),
            "dnf -y --setopt=disable_excludes=kubernetes --enablerepo=a --enablerepo=b --setopt=best=False install kubelet"
        );
    }

    #[test]
    fn what_is_not_supported_is_refused() {
        let refused = |options: &[(&str, Value)]| dnf(options).refuse_what_is_not_supported().is_err();
        assert!(refused(&[("list", "installed".into())]));
        assert!(refused(&[("installroot", "/mnt".into())]));
        assert!(refused(&[
            ("autoremove", true.into()),
            ("state", "present".into())
        ]));
        assert!(!refused(&[("autoremove", true.into())]));
    }
}
