//! `apt`: packages of Debian and its children.
//!
//! ```yaml
//! - apt:
//!     name: [curl, jq, kubelet=1.29.*]
//!     state: present
//!     update_cache: true
//!     cache_valid_time: 3600
//! - apt:
//!     name: ufw
//!     state: absent
//!     purge: true
//!     autoremove: true
//! - apt:
//!     upgrade: dist
//! - apt:
//!     deb: /root/tool.deb
//! ```
//!
//! What is installed is read from dpkg's database; only when something is missing `apt-get` is asked, at the task's
//! turn, what it would do, and all packages go into one transaction. `update_cache: true` without
//! `cache_valid_time` fetches the lists each time, as in Ansible: give a time, and a converged host costs one
//! question. `lock_timeout` is how long the locks of dpkg and of the lists are waited for.
//!
//! Returns `stdout`, `stderr`, `cache_updated`, `cache_update_time`.
//!
//! Differences to Ansible: nothing is installed on the host to be able to work (no python3-apt); `force` gives
//! `apt-get` the options that replaced `--force-yes`; `upgrade: safe` is `apt-get upgrade --with-new-pkgs`, aptitude
//! is not used; a package that is there already is not marked as installed by hand unless another one of the
//! task has to be installed. Refused: `deb` with a URL (use `get_url` first).

use std::fmt::Write;

use serde::Deserialize;

use super::packages::debian::{self, Spec};
use super::packages::{Transaction, aside, pattern};
use super::process::{environment, text};
use super::{Module, Rule};
use crate::host::question::Answer;
use crate::host::question::{Installed, Look, Package, PackageDatabase, Question, Stat};
use crate::host::{Change, Failure, Halt, Host, Outcome, Output, Script, fail, quote};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "they are Ansible's options")]
pub struct Apt {
    #[serde(alias = "package", alias = "pkg")]
    name: Option<Vec<String>>,
    #[serde(default)]
    state: State,
    deb: Option<String>,
    upgrade: Option<Upgrade>,
    #[serde(alias = "update-cache")]
    update_cache: Option<bool>,
    #[serde(default)]
    cache_valid_time: i64,
    #[serde(default = "retries")]
    update_cache_retries: i64,
    #[serde(default = "max_delay")]
    update_cache_retry_max_delay: u32,
    #[serde(default)]
    purge: bool,
    #[serde(default)]
    autoremove: bool,
    #[serde(default)]
    autoclean: bool,
    #[serde(default)]
    clean: bool,
    #[serde(default)]
    fail_on_autoremove: bool,
    #[serde(alias = "default-release")]
    default_release: Option<String>,
    #[serde(alias = "install-recommends")]
    install_recommends: Option<bool>,
    #[serde(default)]
    force: bool,
    #[serde(default = "dpkg_options")]
    dpkg_options: String,
    #[serde(default)]
    only_upgrade: bool,
    /// `apt-get` is what is used in any case.
    #[serde(default, rename = "force_apt_get")]
    _force_apt_get: bool,
    #[serde(default, alias = "allow-unauthenticated")]
    allow_unauthenticated: bool,
    #[serde(
        default,
        alias = "allow-downgrade",
        alias = "allow_downgrades",
        alias = "allow-downgrades"
    )]
    allow_downgrade: bool,
    #[serde(default)]
    allow_change_held_packages: bool,
    policy_rc_d: Option<i64>,
    #[serde(default = "lock_timeout")]
    lock_timeout: i64,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "kebab-case")]
enum State {
    #[default]
    Present,
    Latest,
    Absent,
    BuildDep,
    Fixed,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Upgrade {
    No,
    Yes,
    Safe,
    Full,
    Dist,
}

fn retries() -> i64 {
    5
}

fn max_delay() -> u32 {
    12
}

fn lock_timeout() -> i64 {
    60
}

fn dpkg_options() -> String {
    "force-confdef,force-confold".to_string()
}

/// When the lists were fetched last.
const STAMP: &str = "/var/lib/apt/periodic/update-success-stamp";
const LISTS: &str = "/var/lib/apt/lists";

/// Lines that make room for a `policy-rc.d` of ours, for as long as the script runs. One that was killed may have
/// left its own there, and the one that was there before beside it.
const POLICY: &str = r#"p=/usr/sbin/policy-rc.d
! grep -qs '^# vmstation$' "$p" || rm -f "$p"
[ ! -e "$p.vmstation" ] || mv -f "$p.vmstation" "$p"
[ ! -e "$p" ] || mv "$p" "$p.vmstation"
trap 'rm -f "$p"; [ ! -e "$p.vmstation" ] || mv "$p.vmstation" "$p"' EXIT
trap 'exit 1' HUP INT TERM
"#;

impl Module for Apt {
    const NAME: &'static str = "apt";
    const RULES: &'static [Rule] = &[Rule::Exclusive(&["deb", "name", "upgrade"])];

    fn check(&self) -> Result<(), Halt> {
        self.refuse_deb()?;
        self.specs().map(|_| ())
    }

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let specs = self.specs()?;
        let (known, cache) = self.look(host, &specs).await?;
        if self.clean {
            let output = self.change(host, "clean the package cache", "clean", &[]).await?;
            if self.name.is_none() && self.deb.is_none() && !self.upgrades() {
                return Ok(said(&output));
            }
        }
        if cache.is_stale && !self.does_more_than_update() {
            return self.only_update(host, cache).await;
        }
        let cache = self.update(host, cache).await?;
        let outcome = self.packages(host, &specs, &known, &cache).await?;
        Ok(outcome
            .with("cache_updated", cache.updated)
            .with("cache_update_time", cache.time))
    }
}

/// How old the package lists are.
struct Cache {
    time: i64,
    is_stale: bool,
    updated: bool,
}

impl Apt {
    fn refuse_deb(&self) -> Result<(), Halt> {
        match &self.deb {
            Some(deb) if deb.contains("://") => Err(fail(format!(
                "`deb` with a URL is not supported: fetch {deb} with `get_url` and give its path"
            ))),
            Some(_) if self.state != State::Present => Err(fail("deb only supports state=present")),
            _ => Ok(()),
        }
    }

    fn upgrades(&self) -> bool {
        self.upgrade.is_some_and(|u| u != Upgrade::No)
    }

    fn does_more_than_update(&self) -> bool {
        self.name.is_some() || self.deb.is_some() || self.upgrades()
    }

    /// Everything that is installed, by a name of its own.
    fn wants_everything(&self) -> bool {
        self.name.iter().flatten().any(|name| name == "*")
    }

    fn specs(&self) -> Result<Vec<Spec>, Halt> {
        let names = self.name.iter().flatten();
        names
            .filter(|name| *name != "*" && !name.trim().is_empty())
            .map(|name| Spec::parse(name).ok_or_else(|| fail(format!("invalid package spec: {name}"))))
            .collect()
    }

    /// All that can be known without `apt-get`, in one round trip.
    async fn look(&self, host: &Host, specs: &[Spec]) -> Result<(Vec<Vec<Installed>>, Cache), Halt> {
        let mut questions: Vec<Question> = specs
            .iter()
            .map(|spec| {
                Package {
                    database: PackageDatabase::Dpkg,
                    name: spec.name.clone(),
                }
                .into()
            })
            .collect();
        let updates = self.update_cache.unwrap_or(false) || self.cache_valid_time > 0;
        let ages = updates || self.update_cache.is_some();
        if ages {
            questions.push(Stat::following(STAMP).into());
            questions.push(Stat::following(LISTS).into());
        }
        if self.cache_valid_time > 0 {
            questions.push(Look::new("clock", "date +%s").into());
        }
        let mut known = Vec::new();
        let mut modified = Vec::new();
        let mut now = 0.0;
        for answer in host.ask_each(questions).await? {
            match answer {
                Answer::Package(installed) => known.push(installed),
                Answer::Stat(stat) => modified.push(stat.map(|s| s.modified)),
                Answer::Look(output) => now = output.stdout_text().trim().parse().unwrap_or(0.0),
                _ => {}
            }
        }
        let time = modified.into_iter().flatten().next().unwrap_or(0.0);
        #[expect(clippy::cast_precision_loss, reason = "seconds, far below 2^53")]
        let valid_until = time + self.cache_valid_time as f64;
        #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970")]
        let cache = Cache {
            time: time as i64,
            is_stale: updates && (self.cache_valid_time <= 0 || valid_until < now),
            updated: false,
        };
        Ok((known, cache))
    }

    async fn only_update(&self, host: &Host, cache: Cache) -> Result<Outcome, Halt> {
        let change = Change::new("update the package lists");
        let output = host.change(change, self.update_script(host)?).await?;
        let time = updated_at(&output)?;
        Ok(Outcome {
            unchanged: time == cache.time,
            ..Outcome::new()
                .with("cache_updated", time != cache.time)
                .with("cache_update_time", time)
        })
    }

    async fn update(&self, host: &Host, cache: Cache) -> Result<Cache, Halt> {
        if !cache.is_stale {
            return Ok(cache);
        }
        if host.check() {
            return Ok(Cache {
                updated: true,
                ..cache
            });
        }
        let output = host.act(self.update_script(host)?).await?;
        let time = updated_at(&output)?;
        Ok(Cache {
            time,
            is_stale: false,
            updated: time != cache.time,
        })
    }

    fn update_script(&self, host: &Host) -> Result<Script, Halt> {
        let mut script = self.prelude(host)?;
        let _ = write!(
            script,
            "try=0; pause=1\n\
             until out=$(patiently apt-get -q -o APT::Update::Error-Mode=any update 2>&1); do\n\
             try=$((try + 1))\n\
             if [ \"$try\" -ge {retries} ]; then printf '%s\\n' \"$out\" >&2; exit 1; fi\n\
             [ \"$pause\" -le {most} ] || pause={most}\n\
             sleep \"$pause\"; pause=$((pause * 2))\ndone\n\
             stat -L -c %Y {STAMP} 2>/dev/null || stat -L -c %Y {LISTS}",
            retries = self.update_cache_retries.max(1),
            most = self.update_cache_retry_max_delay,
        );
        Ok(Script::new("update the package lists", script))
    }

    /// The environment, and `patiently`, which waits for locks that `apt-get` itself does not wait for.
    fn prelude(&self, host: &Host) -> Result<String, Halt> {
        Ok(format!(
            "{environment}export LC_ALL=C LANGUAGE=C DEBIAN_FRONTEND=noninteractive DEBIAN_PRIORITY=critical\n\
             umask 022\nend=$(($(date +%s) + {timeout}))\n\
             patiently() {{\nwhile :; do\n{{ err=$(\"$@\" 2>&1 >&3); }} 3>&1; rc=$?\n\
             case $rc,$err in 0,*) ;; *'Could not get lock'*|*'Unable to lock'*|*'Unable to acquire'*)\n\
             if [ \"$(date +%s)\" -lt \"$end\" ]; then sleep 1; continue; fi;; esac\n\
             [ -z \"$err\" ] || printf '%s\\n' \"$err\" >&2\nreturn \"$rc\"\ndone\n}}\n",
            environment = environment(host)?,
            timeout = self.lock_timeout,
        ))
    }

    async fn packages(
        &self,
        host: &Host,
        specs: &[Spec],
        known: &[Vec<Installed>],
        cache: &Cache,
    ) -> Result<Outcome, Halt> {
        if self.upgrades() || (self.state == State::Latest && self.wants_everything()) {
            if !specs.is_empty() {
                return Err(fail(
                    "unable to install additional packages when upgrading all installed packages",
                ));
            }
            return self.upgrade_all(host).await;
        }
        if let Some(deb) = &self.deb {
            return self.install_file(host, deb).await;
        }
        if specs.is_empty() && self.state != State::Fixed {
            return self.tidy(host).await;
        }
        match self.state {
            State::Absent => self.remove(host, specs, known).await,
            State::Present | State::Fixed => self.install_missing(host, specs, known, cache).await,
            State::Latest => self.install_latest(host, specs, known, cache).await,
            State::BuildDep => {
                let words: Vec<String> = specs.iter().map(Spec::word).collect();
                self.transact(
                    host,
                    "install what is needed to build",
                    "build-dep",
                    &words,
                    cache,
                )
                .await
            }
        }
    }

    async fn install_missing(
        &self,
        host: &Host,
        specs: &[Spec],
        known: &[Vec<Installed>],
        cache: &Cache,
    ) -> Result<Outcome, Halt> {
        let mut missing = Vec::new();
        for (spec, installed) in specs.iter().zip(known) {
            if pattern::is_pattern(&spec.name) {
                missing.extend(self.matching(host, spec, installed).await?);
            } else if !(spec.is_met_by(installed) || self.only_upgrade && installed.is_empty()) {
                missing.push(spec.word());
            }
        }
        let fixed = self.state == State::Fixed;
        if missing.is_empty() && !fixed {
            return Ok(Outcome::new());
        }
        self.transact(host, "install", "install", &missing, cache).await
    }

    async fn install_latest(
        &self,
        host: &Host,
        specs: &[Spec],
        known: &[Vec<Installed>],
        cache: &Cache,
    ) -> Result<Outcome, Halt> {
        let mut wanted = Vec::new();
        for (spec, installed) in specs.iter().zip(known) {
            if pattern::is_pattern(&spec.name) {
                wanted.extend(installed.iter().map(|package| package.name.clone()));
                wanted.extend(self.matching(host, spec, installed).await?);
            } else if !(self.only_upgrade && installed.is_empty()) {
                wanted.push(spec.word());
            }
        }
        if wanted.is_empty() {
            return Ok(Outcome::new());
        }
        self.transact(host, "bring up to date", "install", &wanted, cache)
            .await
    }

    /// Packages that are to be had, match, and are not installed.
    async fn matching(&self, host: &Host, spec: &Spec, installed: &[Installed]) -> Result<Vec<String>, Halt> {
        let prefix: String = spec.name.chars().take_while(|c| !"*?[".contains(*c)).collect();
        let command = format!("apt-cache pkgnames {}", quote(&prefix));
        let script = Script::new("list packages", aside(&command));
        let output = host.ask_now(script).await?;
        let names = output.stdout_text();
        let mut matching: Vec<&str> = names
            .lines()
            .filter(|name| pattern::matches(&spec.name, name))
            .collect();
        matching.sort_unstable();
        if matching.is_empty() && installed.is_empty() {
            return Err(fail(format!("No package(s) matching '{}' available", spec.name)));
        }
        let missing = matching
            .into_iter()
            .filter(|name| installed.iter().all(|i| i.name != *name));
        Ok(missing.map(str::to_string).collect())
    }

    async fn remove(&self, host: &Host, specs: &[Spec], known: &[Vec<Installed>]) -> Result<Outcome, Halt> {
        let mut names: Vec<String> = known
            .iter()
            .zip(specs)
            .flat_map(|(installed, spec)| {
                let one_architecture = spec.name.contains(':');
                let name = move |package: &Installed| {
                    if one_architecture {
                        format!("{}:{}", package.name, package.architecture)
                    } else {
                        package.name.clone()
                    }
                };
                let met = move |package: &&Installed| spec.is_met_by(std::slice::from_ref(*package));
                installed.iter().filter(met).map(name).collect::<Vec<_>>()
            })
            .collect();
        if self.purge {
            names.extend(left_behind(host, specs).await?);
        }
        names.dedup();
        if names.is_empty() {
            return Ok(Outcome::new());
        }
        let verb = if self.purge { "purge" } else { "remove" };
        let fresh = Cache {
            time: 0,
            is_stale: false,
            updated: false,
        };
        self.transact(host, verb, "remove", &names, &fresh).await
    }

    async fn upgrade_all(&self, host: &Host) -> Result<Outcome, Halt> {
        let operation = match self.upgrade {
            Some(Upgrade::Dist | Upgrade::Full) => "dist-upgrade",
            _ => "upgrade --with-new-pkgs",
        };
        let plan = self.simulate(host, operation, &[]).await?;
        if !plan.output.ok() {
            return Err(failed(&self.command(operation, &[]), &plan.output));
        }
        if plan.transaction.is_empty() {
            let stdout = plan.output.stdout_text();
            return Ok(said(&plan.output).with("msg", stdout));
        }
        let change = described(&plan.transaction, "upgrade", &[]);
        let output = self.apt_get(host, change, operation, &[]).await?;
        let msg = output.stdout_text();
        Ok(said(&output).with("msg", msg))
    }

    async fn install_file(&self, host: &Host, deb: &str) -> Result<Outcome, Halt> {
        // `dpkg-deb -f` would unpack it into a directory first.
        let look = Look::new(
            "deb",
            format!(
                "dpkg-deb --ctrl-tarfile {} | tar -xO --no-anchored control 2>/dev/null",
                quote(deb)
            ),
        );
        let output = host.ask(look).await?;
        let said = output.stdout_text();
        if !output.ok() {
            let why = output.stderr_text();
            return Err(fail(format!("Unable to install package: {}", why.trim())));
        }
        let field = |name: &str| {
            said.lines()
                .find_map(|l| l.strip_prefix(name))
                .map_or("", str::trim)
        };
        let spec = Spec {
            name: field("Package:").to_string(),
            version: Some((debian::Wanted::AtLeast, field("Version:").to_string())),
        };
        let installed = host
            .ask(Package {
                database: PackageDatabase::Dpkg,
                name: spec.name.clone(),
            })
            .await?;
        if spec.is_met_by(&installed) {
            return Ok(self::said(&Output::default()));
        }
        let path = if deb.starts_with('/') {
            deb.to_string()
        } else {
            format!("./{deb}")
        };
        let change = Change::new(format!("install {deb}"));
        let output = self.apt_get(host, change, "install", &[path]).await?;
        Ok(self::said(&output))
    }

    /// `autoclean` and `autoremove` without packages.
    async fn tidy(&self, host: &Host) -> Result<Outcome, Halt> {
        let mut outcome = Outcome::new();
        for (wanted, operation) in [(self.autoclean, "autoclean"), (self.autoremove, "autoremove")] {
            if !wanted {
                continue;
            }
            let plan = self.simulate(host, operation, &[]).await?;
            let deletes = plan
                .output
                .stdout_text()
                .lines()
                .any(|line| line.starts_with("Del "));
            outcome = said(&plan.output);
            if deletes || !plan.transaction.is_empty() {
                let change = described(&plan.transaction, operation, &[]);
                outcome = said(&self.apt_get(host, change, operation, &[]).await?);
            }
        }
        Ok(outcome)
    }

    /// Asks what would happen, and lets it happen if it is anything.
    async fn transact(
        &self,
        host: &Host,
        verb: &str,
        operation: &str,
        words: &[String],
        cache: &Cache,
    ) -> Result<Outcome, Halt> {
        // In a dry run the lists are as old as they are: what they know nothing of may come with an update.
        let guesses = host.check() && cache.is_stale;
        let plan = self.simulate(host, operation, words).await?;
        if !plan.output.ok() && !guesses {
            return Err(failed(&self.command(operation, words), &plan.output));
        }
        if plan.output.ok() && plan.transaction.is_empty() {
            return Ok(Outcome::new());
        }
        let change = described(&plan.transaction, verb, words);
        let output = self.apt_get(host, change, operation, words).await?;
        Ok(said(&output))
    }

    async fn simulate(&self, host: &Host, operation: &str, words: &[String]) -> Result<Plan, Halt> {
        let command = format!("{} -s", self.command(operation, words));
        let script = format!("{}{}", self.prelude(host)?, aside(&command));
        let output = host
            .ask_now(Script::new("ask what apt-get would do", script))
            .await?;
        Ok(Plan {
            transaction: debian::simulated(&output.stdout_text()),
            output,
        })
    }

    async fn change(
        &self,
        host: &Host,
        what: &str,
        operation: &str,
        words: &[String],
    ) -> Result<Output, Halt> {
        self.apt_get(host, Change::new(what), operation, words).await
    }

    /// One transaction.
    async fn apt_get(
        &self,
        host: &Host,
        change: Change,
        operation: &str,
        words: &[String],
    ) -> Result<Output, Halt> {
        let command = self.command(operation, words);
        let mut script = self.prelude(host)?;
        // A transaction is not left half done because nobody reads what it says any more.
        script.push_str("trap '' PIPE\n");
        if let Some(status) = self.policy_rc_d {
            let _ = writeln!(
                script,
                "{POLICY}printf '#!/bin/sh\\n# vmstation\\nexit {status}\\n' >\"$p\"; chmod 755 \"$p\""
            );
        }
        let _ = writeln!(script, "patiently {command} || exit");
        let by_name = words.iter().any(|w| !w.contains('/'));
        if operation == "install" && by_name {
            let names: Vec<String> = self
                .specs()?
                .iter()
                .filter(|s| !pattern::is_pattern(&s.name))
                .map(|s| quote(&s.name))
                .collect();
            let _ = writeln!(script, "apt-mark manual {} >/dev/null 2>&1 || :", names.join(" "));
        }
        let label = change.what.clone();
        let output = host.change(change, Script::new(label, script)).await?;
        if output.ok() {
            return Ok(output);
        }
        Err(failed(&command, &output))
    }

    /// The command line.
    fn command(&self, operation: &str, words: &[String]) -> String {
        let mut command = format!("apt-get -q -y -o DPkg::Lock::Timeout={}", self.lock_timeout);
        for option in self
            .dpkg_options
            .split(',')
            .map(str::trim)
            .filter(|o| !o.is_empty())
        {
            let _ = write!(command, " -o {}", quote(&format!("Dpkg::Options::=--{option}")));
        }
        let installs = ["install", "build-dep"].contains(&operation);
        let everything = operation.contains("upgrade");
        let switches = [
            (self.purge && !installs && !everything, "--purge"),
            (self.autoremove && operation != "autoremove", "--auto-remove"),
            (self.fail_on_autoremove && operation != "remove", "--no-remove"),
            (self.only_upgrade && installs, "--only-upgrade"),
            (
                self.state == State::Fixed && operation == "install",
                "--fix-broken",
            ),
            (
                self.allow_unauthenticated || self.force,
                "--allow-unauthenticated",
            ),
            (self.allow_downgrade || self.force, "--allow-downgrades"),
            (
                self.allow_change_held_packages || self.force,
                "--allow-change-held-packages",
            ),
            (self.force, "--allow-remove-essential"),
            (
                installs && self.install_recommends == Some(true),
                "-o APT::Install-Recommends=yes",
            ),
            (
                installs && self.install_recommends == Some(false),
                "-o APT::Install-Recommends=no",
            ),
        ];
        for (_, switch) in switches.iter().filter(|(on, _)| *on) {
            let _ = write!(command, " {switch}");
        }
        if let Some(release) = &self.default_release {
            let _ = write!(command, " -t {}", quote(release));
        }
        let _ = write!(command, " {operation}");
        for word in words {
            let _ = write!(command, " {}", quote(word));
        }
        command
    }
}

/// What `apt-get` would do.
struct Plan {
    transaction: Transaction,
    output: Output,
}

/// Packages that are removed but for their configuration.
async fn left_behind(host: &Host, specs: &[Spec]) -> Result<Vec<String>, Halt> {
    let names: Vec<String> = specs.iter().map(|s| quote(&s.name)).collect();
    let look = Look::new(
        "package leftovers",
        format!(
            "dpkg-query -W -f '${{db:Status-Abbrev}}\\t${{Package}}\\n' -- {} 2>/dev/null; :",
            names.join(" ")
        ),
    );
    let output = host.ask(look).await?.stdout_text();
    let left = output.lines().filter_map(|line| {
        let (status, name) = line.split_once('\t')?;
        (status.as_bytes().get(1) == Some(&b'c')).then(|| name.to_string())
    });
    Ok(left.collect())
}

fn described(transaction: &Transaction, verb: &str, words: &[String]) -> Change {
    let (before, after) = transaction.before_and_after();
    Change::new(transaction.in_words(verb, words)).difference("packages", before, after)
}

fn updated_at(output: &Output) -> Result<i64, Halt> {
    if !output.ok() {
        return Err(Failure::new(format!(
            "Failed to update apt cache: {}",
            output.stderr_text().trim()
        ))
        .with("rc", i64::from(output.status))
        .into());
    }
    let said = output.stdout_text();
    Ok(said
        .lines()
        .last()
        .and_then(|l| l.trim().parse().ok())
        .unwrap_or(0))
}

fn said(output: &Output) -> Outcome {
    let (stdout, stderr) = (output.stdout_text(), output.stderr_text());
    Outcome::new()
        .with("stdout_lines", text::lines(&stdout))
        .with("stderr_lines", text::lines(&stderr))
        .with("stdout", stdout)
        .with("stderr", stderr)
}

fn failed(command: &str, output: &Output) -> Halt {
    let stderr = output.stderr_text();
    let msg = debian::not_available(&stderr).unwrap_or_else(|| format!("'{command}' failed: {stderr}"));
    let failure = Failure::new(msg).with("rc", i64::from(output.status));
    let values = said(output).values;
    Failure {
        values: failure.values.into_iter().chain(values).collect(),
        ..failure
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::{Argument, Arguments};
    use crate::vars::Value;

    fn apt(options: &[(&str, Value)]) -> Apt {
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
        .read("apt", Apt::RULES)
        .unwrap()
    }

    #[test]
    fn the_command_line() {
        let apt = apt(&[
            ("name", "curl".into()),
            ("install_recommends", false.into()),
            ("allow_downgrade", true.into()),
        ]);
        assert_eq!(
            apt.command("install", &["curl".into(), "a=1*".into()]),
            "apt-get -q -y -o DPkg::Lock::Timeout=60 -o Dpkg::Options::=--force-confdef \
             -o Dpkg::Options::=--force-confold --allow-downgrades -o APT::Install-Recommends=no install curl 'a=1*'"
        );
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let refused = |options: &[(&str, Value)]| apt(options).check().is_err();
        assert!(refused(&[("deb", "http://x/y.deb".into())]));
        assert!(refused(&[("deb", "y.deb".into()), ("state", "absent".into())]));
        assert!(!refused(&[]));
        assert!(!refused(&[("upgrade", true.into())]));
        assert!(!refused(&[("update_cache", true.into())]));
    }
}
