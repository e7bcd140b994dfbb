//! What a command works on: the configuration, the inventory and the playbooks of the working directory.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::catalogue::Modules;
use super::options::HostOptions;
use super::print;
use crate::config::{Config, Environment};
use crate::inventory::{Inventory, extra_vars};
use crate::lab::Place;
use crate::plan::{Strategy, Tags};
use crate::playbook::{
    Action, Catalogue, Circumstances, Level, Loader, Play, Playbook, Task, Written, each_task,
};
use crate::source::{Diagnostic, nearest, nearest_file, reason};
use crate::template::{Controller, Engine, Found, Moment, Scope, TemplateError};
use crate::vars::{Map, Value};

/// Everything that is read before anything runs.
pub struct Project {
    pub directory: PathBuf,
    pub config: Config,
    pub extra: Map,
    /// Where the inventory comes from.
    pub sources: Vec<String>,
    pub inventory: Inventory,
    pub engine: Engine,
    pub catalogue: Arc<dyn Catalogue>,
    limit: Option<String>,
}

impl Project {
    /// Reads it; what there is to note goes to standard error.
    pub fn load(options: &HostOptions, verbose: bool) -> Result<Self, Diagnostic> {
        let directory = std::env::current_dir()
            .map_err(|e| Diagnostic::error(format!("there is no working directory: {}", reason(&e))))?;
        let environment: Environment = std::env::vars().collect();
        let config = Config::load(&environment, &directory)?;
        note(&config.warnings);
        if verbose {
            for (name, span) in &config.ignored {
                print::note(&format!("note: `{name}` has no effect here ({span})"));
            }
        }
        let (extra, warnings) = extra_vars(&options.extra_vars)?;
        note(&warnings);
        let sources = sources(options, &config, &directory)?;
        let loaded = Inventory::load(&sources, &directory)?;
        note(&loaded.warnings);
        if let Some(limit) = &options.limit {
            note(&loaded.inventory.check_limit(limit)?);
        }
        Ok(Self {
            directory,
            config,
            extra,
            sources,
            inventory: loaded.inventory,
            engine: Engine::new(Arc::new(Controller)),
            catalogue: Arc::new(Modules),
            limit: options.limit.clone(),
        })
    }

    /// Refuses playbooks that are no files, before anything else is read.
    pub fn are_there(playbooks: &[PathBuf], options: &HostOptions) -> Result<(), Diagnostic> {
        for path in playbooks {
            if path.is_dir() {
                let what = format!("a playbook is a file, but `{}` is a directory", path.display());
                return Err(Diagnostic::error(what));
            }
            if !path.exists() {
                return Err(no_playbook(path, options));
            }
        }
        Ok(())
    }

    /// Reads playbooks; templates in imports see the play's and the command line's variables.
    pub fn playbook(&self, paths: &[PathBuf]) -> Result<Playbook, Diagnostic> {
        let render = |written: &Written, level: &Arc<Level>| self.import_name(written, level);
        let mut loader = Loader {
            catalogue: self.catalogue.as_ref(),
            roles_path: self.config.roles_path.clone(),
            project: self.directory.clone(),
            render: &render,
            warnings: Vec::new(),
            imported: Vec::new(),
            read: Vec::new(),
        };
        let mut all = Playbook { plays: Vec::new() };
        for path in paths {
            all.plays.extend(loader.playbook(path)?.plays);
        }
        note(&loader.warnings);
        Ok(all)
    }

    /// Refuses what is certainly wrong in a playbook; what may be wrong goes to standard error.
    pub fn check(&self, playbook: &Playbook, tags: &Tags) -> Result<(), Diagnostic> {
        let circumstances = Circumstances {
            catalogue: self.catalogue.as_ref(),
            engine: &self.engine,
            has_hosts: &|play| self.selected(play).is_ok_and(|(hosts, _)| !hosts.is_empty()),
            is_selected: &|task| tags.select(&self.tags(task)),
        };
        note(&playbook.check(&circumstances)?);
        note(&self.unknown_tags(playbook, tags));
        Ok(())
    }

    /// What nothing is tagged with is often mistyped. What a dynamic include brings is not known yet.
    fn unknown_tags(&self, playbook: &Playbook, tags: &Tags) -> Vec<Diagnostic> {
        let (mut known, mut includes) = (BTreeSet::new(), false);
        for items in playbook.plays.iter().flat_map(|play| play.lists()) {
            each_task(items, &mut |task| {
                known.extend(self.tags(task));
                includes |= matches!(task.action, Action::IncludeTasks(_) | Action::IncludeRole(_));
            });
        }
        if includes {
            return Vec::new();
        }
        let named = tags.wanted.iter().chain(tags.skipped);
        named
            .filter(|name| !known.contains(*name) && !EVERYWHERE.contains(&name.as_str()))
            .map(|name| {
                let warning = Diagnostic::warning(format!("no task has the tag `{name}`"));
                match nearest(name, known.iter().map(String::as_str)) {
                    Some(near) => warning.did_you_mean(Some(near)),
                    None => warning.help("`--list-tags` lists those that there are"),
                }
            })
            .collect()
    }

    fn import_name(&self, written: &Written, level: &Arc<Level>) -> Result<String, Diagnostic> {
        match self
            .engine
            .render(&written.value, &self.scope(level), Moment::Turn)
        {
            Ok(Value::String(text)) => Ok(text.to_string()),
            Ok(other) => {
                let what = format!("must be text, not a {}", other.type_name());
                Err(Diagnostic::error(what).at(&written.span))
            }
            Err(TemplateError::Undefined(d) | TemplateError::Failed(d)) => Err(d.within(&written.span).help(
                "an import is resolved before anything runs: only variables of the play and of `-e` are \
                 known; `include_…` is resolved when it is reached",
            )),
            Err(_) => Err(Diagnostic::error("cannot be known before anything runs").at(&written.span)),
        }
    }

    fn scope(&self, level: &Arc<Level>) -> Arc<dyn Scope> {
        Arc::new(StaticScope {
            level: level.clone(),
            extra: self.extra.clone(),
        })
    }

    /// A keyword's value, as far as it is known before anything runs; else as it was written.
    pub fn known(&self, written: &Written, level: &Arc<Level>) -> Value {
        self.engine
            .render(&written.value, &self.scope(level), Moment::Turn)
            .unwrap_or_else(|_| written.value.clone())
    }

    /// The words of a keyword that takes one or several.
    pub fn words(&self, written: &Written, level: &Arc<Level>) -> Vec<String> {
        match self.known(written, level) {
            Value::List(items) => items.iter().map(text).collect(),
            other => vec![text(&other)],
        }
    }

    /// The strategy of plays that name none.
    pub fn strategy(&self) -> Result<Strategy, Diagnostic> {
        match &self.config.strategy {
            Some(name) => Strategy::named(name).map_err(|d| d.note("`strategy` of the configuration")),
            None => Ok(Strategy::Linear),
        }
    }

    /// A play's hosts, as far as they are known before anything runs.
    pub fn hosts(&self, play: &Play) -> Result<Vec<Arc<str>>, Diagnostic> {
        let (hosts, warnings) = self.selected(play)?;
        note(&warnings);
        Ok(hosts)
    }

    /// The same, where what is strange about it is told elsewhere.
    pub fn silently_hosts(&self, play: &Play) -> Result<Vec<Arc<str>>, Diagnostic> {
        Ok(self.selected(play)?.0)
    }

    fn selected(&self, play: &Play) -> Result<(Vec<Arc<str>>, Vec<Diagnostic>), Diagnostic> {
        let words = self.words(&play.hosts, &play.level);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.inventory
            .select_all(&words, self.limit.as_deref())
            .map_err(|d| d.within(&play.hosts.span))
    }

    pub fn tags(&self, task: &Task) -> Vec<String> {
        self.level_tags(&task.level)
    }

    pub fn level_tags(&self, level: &Arc<Level>) -> Vec<String> {
        let written = level.tags();
        written.iter().flat_map(|w| self.words(w, level)).collect()
    }
}

/// Tags that need not be written anywhere.
const EVERYWHERE: &[&str] = &["all", "tagged", "untagged", "always", "never"];

fn no_playbook(path: &Path, options: &HostOptions) -> Diagnostic {
    let missing = Diagnostic::error(format!("there is no playbook `{}`", path.display()));
    // `--lab NAME` reads like an option and its value.
    if options.lab.as_deref() == Some(Place::USUAL)
        && let Some(name) = path.to_str()
        && Place::new(name).is_ok_and(|place| place.inventory().exists())
    {
        return missing.help(format!("the lab of that name is `--lab={name}`"));
    }
    let near = nearest_file(path, &path.to_string_lossy());
    missing.did_you_mean(near.as_deref())
}

/// A value as a word.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_string(),
        Value::Template(template) => template.text.to_string(),
        other => serde_json::to_string(other).unwrap_or_default(),
    }
}

fn note(diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        print::note(&diagnostic.to_string());
    }
}

fn sources(options: &HostOptions, config: &Config, project: &Path) -> Result<Vec<String>, Diagnostic> {
    let mut sources = options.inventory.clone();
    if sources.is_empty() {
        sources = config.inventory.iter().map(|p| p.display().to_string()).collect();
        let own = project.join("inventory").join("hosts.yml");
        if !config.inventory_is_set && own.is_file() {
            sources = vec!["inventory/hosts.yml".to_string()];
        }
    }
    if let Some(name) = &options.lab {
        sources.push(Place::new(name)?.inventory().display().to_string());
    }
    Ok(sources)
}

/// What is known before anything runs.
#[derive(Debug)]
struct StaticScope {
    level: Arc<Level>,
    extra: Map,
}

impl Scope for StaticScope {
    fn get(&self, name: &str) -> Found {
        let written = || {
            self.level
                .chain()
                .find_map(|l| l.params.get(name).or_else(|| l.keywords.vars.get(name)))
        };
        match self.extra.get(name).or_else(written) {
            Some(value) => Found::Value(value.clone()),
            None => Found::Undefined,
        }
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.extra
            .keys()
            .filter_map(|k| k.as_str().map(Arc::from))
            .collect()
    }
}
