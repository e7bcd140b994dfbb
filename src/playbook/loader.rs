//! Reads playbooks, task files and roles, and resolves what is static in them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::action::{self, Found};
use super::check;
use super::keywords::{self, Keywords, Level, Written, unknown};
use super::role::{self, From};
use super::{Block, Item, Loop, Play, PlayRole, Playbook, Role, Task};
use crate::source::{Diagnostic, Source, Span, nearest};
use crate::template::Engine;
use crate::vars::{Map, Value};
use crate::yaml::{self, Node};

/// The modules there are; the room that holds them is above this one.
pub trait Catalogue: Send + Sync {
    fn find(&self, name: &str) -> Option<Signature>;
    /// Short names, for "did you mean".
    fn names(&self) -> Vec<&'static str>;
}

/// What reading a task needs to know of its module.
#[derive(Debug, Clone, Copy)]
pub struct Signature {
    pub name: &'static str,
    pub free_form: Option<&'static str>,
    /// `None`: any name is an option.
    pub options: Option<&'static [&'static str]>,
    pub unrendered: &'static [&'static str],
    pub fence: bool,
    pub facts: bool,
    /// Runs once for all hosts, whatever `run_once` says.
    pub once: bool,
}

/// Imports nested deeper than this go in circles.
const MAX_IMPORTS: usize = 64;

/// Renders what must be known before anything runs, with the variables of a level.
pub type Render<'a> = dyn Fn(&Written, &Arc<Level>) -> Result<String, Diagnostic> + Sync + 'a;

/// Reads files of a project.
pub struct Loader<'a> {
    pub catalogue: &'a dyn Catalogue,
    /// `roles_path` of the configuration, absolute.
    pub roles_path: Vec<PathBuf>,
    /// The directory of the project: where `vmstation` was called.
    pub project: PathBuf,
    /// Renders what must be known before anything runs (`import_tasks: "{{ x }}.yml"`).
    pub render: &'a Render<'a>,
    /// Duplicate keys and the like, as they are met.
    pub warnings: Vec<Diagnostic>,
    /// Roles of `import_role` in the play being read, with their handlers.
    pub imported: Vec<(Arc<Role>, Vec<Item>)>,
}

/// What a role brings where it is used.
pub struct RoleUse {
    pub level: Arc<Level>,
    pub role: Arc<Role>,
    pub tasks: Vec<Item>,
    pub handlers: Vec<Item>,
}

/// Where a list of tasks stands.
#[derive(Clone)]
struct Place<'p> {
    /// The file, for relative imports.
    file: &'p Path,
    playbook_dir: &'p Path,
    handlers: bool,
    depth: usize,
}

impl Loader<'_> {
    /// Reads a playbook with everything that it imports.
    pub fn playbook(&mut self, path: &Path) -> Result<Playbook, Diagnostic> {
        let mut plays = Vec::new();
        self.plays(path, None, 0, &mut plays)?;
        Ok(Playbook { plays })
    }

    /// Reads a file of tasks for `include_tasks`.
    pub fn tasks_file(
        &mut self,
        path: &Path,
        playbook_dir: &Path,
        level: &Arc<Level>,
        handlers: bool,
    ) -> Result<Vec<Item>, Diagnostic> {
        let place = Place {
            file: path,
            playbook_dir,
            handlers,
            depth: 0,
        };
        self.file_items(&place, level)
    }

    /// Reads a role for `include_role`.
    pub fn role(
        &mut self,
        name: &str,
        span: &Span,
        from: &From,
        playbook_dir: &Path,
        level: &Arc<Level>,
        keywords: Keywords,
    ) -> Result<Vec<RoleUse>, Diagnostic> {
        let request = RoleRequest {
            name,
            span,
            from: from.clone(),
            keywords,
            params: Map::new(),
            playbook_dir,
            seen: &mut Vec::new(),
            depth: 0,
        };
        self.use_role(request, level)
    }

    /// The file that an include means: relative to the role's tasks, the including file, the playbook.
    pub fn tasks_path(
        &self,
        name: &str,
        including: &Path,
        role: Option<&Role>,
        playbook_dir: &Path,
    ) -> Option<PathBuf> {
        let direct = Path::new(name);
        if direct.is_absolute() {
            return direct.is_file().then(|| direct.to_path_buf());
        }
        let beside = including.parent().unwrap_or(Path::new("."));
        let mut places = Vec::new();
        if let Some(role) = role {
            places.push(role.path.join("tasks"));
        }
        places.extend([
            beside.to_path_buf(),
            beside.join("tasks"),
            playbook_dir.to_path_buf(),
            playbook_dir.join("tasks"),
        ]);
        places.push(self.project.clone());
        places.into_iter().map(|p| p.join(name)).find(|p| p.is_file())
    }

    fn parse(&mut self, path: &Path) -> Result<Option<Node>, Diagnostic> {
        let document = yaml::parse(&Source::read(path)?)?;
        self.warnings.extend(document.warnings);
        Ok(document.root)
    }

    fn plays(
        &mut self,
        path: &Path,
        outer: Option<&Arc<Level>>,
        depth: usize,
        plays: &mut Vec<Arc<Play>>,
    ) -> Result<(), Diagnostic> {
        let Some(root) = self.parse(path)? else {
            return Err(Diagnostic::error(format!(
                "`{}` is empty: a playbook is a list of plays",
                path.display()
            )));
        };
        let list = root.as_list().ok_or_else(|| {
            Diagnostic::error(format!(
                "a playbook is a list of plays, but this is {}",
                root.what()
            ))
            .at(&root.span)
            .help("each play begins with `- hosts:`")
        })?;
        for node in list {
            let pairs = node.as_map().ok_or_else(|| {
                Diagnostic::error(format!("a play is a mapping, but this is {}", node.what())).at(&node.span)
            })?;
            let import = pairs.iter().find(|(k, _)| {
                matches!(
                    k.text(),
                    Some("import_playbook" | "ansible.builtin.import_playbook")
                )
            });
            if let Some((_, file)) = import {
                self.import_playbook(path, pairs, file, outer, depth, plays)?
            } else {
                let play = self.play(path, node, pairs, outer)?;
                check::play(&play, &mut self.warnings)?;
                plays.push(Arc::new(play));
            }
        }
        Ok(())
    }

    fn import_playbook(
        &mut self,
        path: &Path,
        pairs: &[(Node, Node)],
        file: &Node,
        outer: Option<&Arc<Level>>,
        depth: usize,
        plays: &mut Vec<Arc<Play>>,
    ) -> Result<(), Diagnostic> {
        let mut keywords = Keywords::default();
        for (key, value) in pairs {
            match key.text() {
                Some("import_playbook" | "ansible.builtin.import_playbook" | "name") => {}
                Some("vars" | "when" | "tags") => {
                    keywords::read(&mut keywords, key, value)?;
                }
                _ => return Err(unknown(key, "an import of a playbook", &["import_playbook"])),
            }
        }
        let level = Level::new(keywords, outer);
        let name = (self.render)(&Written::of(file), &level)?;
        let target = path.parent().unwrap_or(Path::new(".")).join(&name);
        if !target.is_file() {
            return Err(
                Diagnostic::error(format!("there is no playbook `{}`", target.display())).at(&file.span),
            );
        }
        if depth >= MAX_IMPORTS {
            return Err(Diagnostic::error(format!("`{}` imports itself", target.display())).at(&file.span));
        }
        self.plays(&target, Some(&level), depth + 1, plays)
    }

    fn play(
        &mut self,
        path: &Path,
        node: &Node,
        pairs: &[(Node, Node)],
        outer: Option<&Arc<Level>>,
    ) -> Result<Play, Diagnostic> {
        let mut keywords = Keywords::default();
        let mut own = PlayKeywords::default();
        for (key, value) in pairs {
            if !own.read(key, value) && !keywords::read(&mut keywords, key, value)? {
                return Err(self.play_stranger(key));
            }
        }
        let hosts = own.hosts.ok_or_else(|| {
            let first = pairs.first().map_or(&node.span, |(k, _)| &k.span);
            Diagnostic::error("a play needs `hosts`").at(first)
        })?;
        if hosts.value == Value::Null {
            return Err(Diagnostic::error("`hosts` is empty").at(&hosts.span));
        }
        let level = Level::new(keywords, outer);
        let directory = path
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let place = Place {
            file: path,
            playbook_dir: directory,
            handlers: false,
            depth: 0,
        };
        let mut handlers = match own.handlers {
            Some(n) => self.items(
                &n,
                &Place {
                    handlers: true,
                    ..place.clone()
                },
                &level,
            )?,
            None => Vec::new(),
        };
        let mut roles = Vec::new();
        for used in self.play_roles(own.roles.as_ref(), directory, &level)? {
            handlers.extend(used.handlers);
            roles.push(PlayRole {
                role: used.role,
                level: used.level,
                tasks: used.tasks,
            });
        }
        let mut list = |n: Option<Node>| n.map_or(Ok(Vec::new()), |n| self.items(&n, &place, &level));
        let (pre_tasks, tasks, post_tasks) = (list(own.pre_tasks)?, list(own.tasks)?, list(own.post_tasks)?);
        let mut imported_roles = Vec::new();
        for (role, its_handlers) in std::mem::take(&mut self.imported) {
            imported_roles.push(role);
            handlers.extend(its_handlers);
        }
        Ok(Play {
            name: own.name,
            hosts,
            gather_facts: own.gather_facts,
            gather_subset: own.gather_subset,
            gather_timeout: own.gather_timeout,
            vars_files: own.vars_files,
            serial: own.serial,
            strategy: own.strategy,
            order: own.order,
            max_fail_percentage: own.max_fail_percentage,
            force_handlers: own.force_handlers,
            pre_tasks,
            tasks,
            post_tasks,
            imported_roles,
            roles,
            handlers,
            directory: directory.to_path_buf(),
            span: node.span.clone(),
            level,
        })
    }

    fn play_roles(
        &mut self,
        roles: Option<&Node>,
        directory: &Path,
        level: &Arc<Level>,
    ) -> Result<Vec<RoleUse>, Diagnostic> {
        let Some(roles) = roles.filter(|n| !n.is_null()) else {
            return Ok(Vec::new());
        };
        let list = roles.as_list().ok_or_else(|| {
            Diagnostic::error(format!("`roles` is a list, but this is {}", roles.what())).at(&roles.span)
        })?;
        let mut seen = Vec::new();
        let mut all = Vec::new();
        for entry in list {
            all.extend(self.role_entry(entry, directory, level, &mut seen, 0)?);
        }
        Ok(all)
    }

    /// An entry of `roles:` or `dependencies:`.
    fn role_entry(
        &mut self,
        entry: &Node,
        directory: &Path,
        level: &Arc<Level>,
        seen: &mut Vec<(PathBuf, Map, Map)>,
        depth: usize,
    ) -> Result<Vec<RoleUse>, Diagnostic> {
        let mut keywords = Keywords::default();
        let mut params = Map::new();
        let name = if let Some(pairs) = entry.as_map() {
            for (key, value) in pairs {
                match key.text() {
                    Some("role" | "name") => {}
                    Some("version" | "src" | "scm") => {}
                    Some(_) if keywords::read(&mut keywords, key, value)? => {}
                    Some(name) if keywords::is_name(name) => {
                        params.insert(key.key(), value.value());
                    }
                    _ => return Err(unknown(key, "a role", &["role"])),
                }
            }
            action::role_name(entry)?
        } else {
            Written::of(entry)
        };
        let rendered = (self.render)(&name, level)?;
        let request = RoleRequest {
            name: &rendered,
            span: &name.span,
            from: From::default(),
            keywords,
            params,
            playbook_dir: directory,
            seen,
            depth,
        };
        self.use_role(request, level)
    }

    fn use_role(&mut self, request: RoleRequest<'_>, outer: &Arc<Level>) -> Result<Vec<RoleUse>, Diagnostic> {
        if request.depth > MAX_IMPORTS {
            return Err(
                Diagnostic::error(format!("the role `{}` depends on itself", request.name)).at(request.span),
            );
        }
        let paths = self.role_paths(request.playbook_dir, outer.role());
        let path = role::find(request.name, &paths)
            .ok_or_else(|| role::missing(request.name, &paths).at(request.span))?;
        let read = role::read(request.name, &path, &request.from)?;
        self.warnings.extend(read.warnings);
        let role = Arc::new(read.role);
        if outer
            .chain()
            .any(|l| l.role.as_ref().is_some_and(|r| r.path == path))
            && request.depth > 0
        {
            return Err(
                Diagnostic::error(format!("the role `{}` depends on itself", request.name)).at(request.span),
            );
        }
        let key = (
            path.clone(),
            request.params.clone(),
            request.keywords.vars.clone(),
        );
        if !role.allow_duplicates && request.seen.contains(&key) {
            return Ok(Vec::new());
        }
        request.seen.push(key);
        let level = Arc::new(Level {
            keywords: request.keywords,
            params: request.params,
            role: Some(role.clone()),
            outer: Some(outer.clone()),
        });
        let mut all = Vec::new();
        for dependency in &read.dependencies {
            all.extend(self.role_entry(
                dependency,
                request.playbook_dir,
                &level,
                request.seen,
                request.depth + 1,
            )?);
        }
        let mut list = |folder: &str, name: Option<&str>, handlers: bool| {
            let folder = path.join(folder);
            let Some(file) = role::file(&folder, name) else {
                return match name {
                    None => Ok(Vec::new()),
                    Some(name) => Err(Diagnostic::error(format!(
                        "there is no `{name}` in {}",
                        folder.display()
                    ))
                    .at(request.span)),
                };
            };
            let place = Place {
                file: &file,
                playbook_dir: request.playbook_dir,
                handlers,
                depth: 0,
            };
            self.file_items(&place, &level)
        };
        let tasks = list("tasks", request.from.tasks.as_deref(), false)?;
        let handlers = list("handlers", request.from.handlers.as_deref(), true)?;
        all.push(RoleUse {
            level,
            role,
            tasks,
            handlers,
        });
        Ok(all)
    }

    /// Where roles are looked for, in order.
    fn role_paths(&self, playbook_dir: &Path, within: Option<&Arc<Role>>) -> Vec<PathBuf> {
        let mut paths = vec![playbook_dir.join("roles")];
        paths.extend(self.roles_path.iter().cloned());
        if let Some(parent) = within.and_then(|r| r.path.parent()) {
            paths.push(parent.to_path_buf());
        }
        paths.push(playbook_dir.to_path_buf());
        paths.push(self.project.join("roles"));
        let mut once = Vec::new();
        for path in paths {
            if !once.contains(&path) {
                once.push(path);
            }
        }
        once
    }

    fn file_items(&mut self, place: &Place<'_>, level: &Arc<Level>) -> Result<Vec<Item>, Diagnostic> {
        match self.parse(place.file)? {
            Some(root) => self.items(&root, place, level),
            None => Ok(Vec::new()),
        }
    }

    fn items(&mut self, node: &Node, place: &Place<'_>, level: &Arc<Level>) -> Result<Vec<Item>, Diagnostic> {
        if node.is_null() {
            return Ok(Vec::new());
        }
        let list = node.as_list().ok_or_else(|| {
            Diagnostic::error(format!("expected a list of tasks, found {}", node.what()))
                .at(&node.span)
                .help("each task begins with `- `")
        })?;
        let mut items = Vec::new();
        for entry in list {
            let pairs = entry.as_map().ok_or_else(|| {
                Diagnostic::error(format!("a task is a mapping, but this is {}", entry.what()))
                    .at(&entry.span)
            })?;
            if pairs.iter().any(|(k, _)| k.text() == Some("block")) {
                items.push(self.block(pairs, place, level)?);
            } else {
                items.extend(self.task(entry, pairs, place, level)?);
            }
        }
        Ok(items)
    }

    fn block(
        &mut self,
        pairs: &[(Node, Node)],
        place: &Place<'_>,
        outer: &Arc<Level>,
    ) -> Result<Item, Diagnostic> {
        let mut keywords = Keywords::default();
        let (mut body, mut rescue, mut always) = (None, None, None);
        for (key, value) in pairs {
            match key.text() {
                Some("block") => body = Some(value),
                Some("rescue") => rescue = Some(value),
                Some("always") => always = Some(value),
                Some("name") => {}
                _ if keywords::read(&mut keywords, key, value)? => {}
                Some(name) if is_task_keyword(name) => {
                    return Err(
                        unknown(key, "a block", &[]).help("a block has none: write it at the tasks in it")
                    );
                }
                _ => return Err(unknown(key, "a block", &["block", "rescue", "always"])),
            }
        }
        let level = Level::new(keywords, Some(outer));
        let mut list = |n: Option<&Node>| n.map_or(Ok(Vec::new()), |n| self.items(n, place, &level));
        Ok(Item::Block(Arc::new(Block {
            body: list(body)?,
            rescue: list(rescue)?,
            always: list(always)?,
            level,
        })))
    }

    fn task(
        &mut self,
        node: &Node,
        pairs: &[(Node, Node)],
        place: &Place<'_>,
        outer: &Arc<Level>,
    ) -> Result<Vec<Item>, Diagnostic> {
        let mut own = TaskKeywords::default();
        let mut keywords = Keywords::default();
        for (key, value) in pairs {
            if own.read(key, value, place.handlers)? || keywords::read(&mut keywords, key, value)? {
                continue;
            }
            let name = key.text().unwrap_or_default();
            if !action::is_action(name, self.catalogue) {
                own.strangers.push(key.clone());
                continue;
            }
            if let Some((first, _)) = &own.action {
                return Err(Diagnostic::error(format!(
                    "a task has one action, but here are `{}` and `{name}`",
                    first.text().unwrap_or_default()
                ))
                .at(&key.span)
                .help("begin the second with `- `"));
            }
            own.action = Some((key.clone(), value.clone()));
        }
        if let Some(stranger) = own.strangers.first() {
            return Err(self.stranger(stranger, own.action.is_some(), place.handlers));
        }
        if let Some(local) = own.local {
            keywords.delegate_to = Some(Written {
                value: "localhost".into(),
                span: local,
            });
        }
        let (key, value) = own.action.ok_or_else(|| {
            Diagnostic::error("a task without anything to do")
                .at(&node.span)
                .help("name a module")
        })?;
        let notify = std::mem::take(&mut keywords.notify);
        match action::read(&key, &value, own.args.as_ref(), self.catalogue)? {
            Found::ImportTasks(file) => {
                refuse_loop(own.looped.as_ref(), "import_tasks", "include_tasks")?;
                self.import_tasks(&file, keywords, place, outer)
            }
            Found::ImportRole(options) => {
                refuse_loop(own.looped.as_ref(), "import_role", "include_role")?;
                self.import_role(&options, keywords, place, outer)
            }
            Found::Action(action) => Ok(vec![Item::Task(Arc::new(Task {
                level: Level::new(keywords, Some(outer)),
                name: own.name,
                action,
                looped: own.looped,
                register: own.register,
                until: own.until,
                retries: own.retries,
                delay: own.delay,
                changed_when: own.changed_when,
                failed_when: own.failed_when,
                notify,
                listen: own.listen,
                span: first_line(node, pairs),
                file: place.file.to_path_buf(),
            }))]),
        }
    }

    /// A key that is neither keyword nor module.
    fn stranger(&self, key: &Node, has_action: bool, handler: bool) -> Diagnostic {
        let keyword = unknown(key, if handler { "a handler" } else { "a task" }, TASK);
        // Beside an action it can only be a keyword; alone, whichever is nearer.
        if has_action || keyword.help.is_some() && !key.text().unwrap_or_default().contains('.') {
            return keyword;
        }
        action::unknown_module(key, self.catalogue)
    }

    /// A key that no play has: what belongs to a task, or a list of tasks in place of a playbook.
    fn play_stranger(&self, key: &Node) -> Diagnostic {
        let name = key.text().unwrap_or_default();
        let unknown = unknown(key, "a play", PLAY);
        if action::is_action(name, self.catalogue) || name == "block" {
            return unknown
                .help("this is a task: tasks stand below `tasks:` of a play that begins with `- hosts:`");
        }
        if is_task_keyword(name) {
            return unknown.help("a play has none: write it at its tasks");
        }
        unknown
    }

    fn import_tasks(
        &mut self,
        file: &Written,
        keywords: Keywords,
        place: &Place<'_>,
        outer: &Arc<Level>,
    ) -> Result<Vec<Item>, Diagnostic> {
        let level = with_params(keywords, None, outer);
        let name = (self.render)(file, &level)?;
        let path = self
            .tasks_path(
                &name,
                place.file,
                outer.role().map(AsRef::as_ref),
                place.playbook_dir,
            )
            .ok_or_else(|| Diagnostic::error(format!("there is no file of tasks `{name}`")).at(&file.span))?;
        if place.depth >= MAX_IMPORTS {
            return Err(Diagnostic::error(format!("`{name}` imports itself")).at(&file.span));
        }
        let inner = Place {
            file: &path,
            depth: place.depth + 1,
            ..place.clone()
        };
        let body = self.file_items(&inner, &level)?;
        Ok(vec![static_block(level, body)])
    }

    fn import_role(
        &mut self,
        options: &Node,
        keywords: Keywords,
        place: &Place<'_>,
        outer: &Arc<Level>,
    ) -> Result<Vec<Item>, Diagnostic> {
        let mut from = From::default();
        for (key, value) in options.as_map().unwrap_or_default() {
            let text = || value.text().map(ToString::to_string);
            match key.text() {
                Some("name" | "role" | "allow_duplicates" | "rolespec_validate" | "public") => {}
                Some("tasks_from") => from.tasks = text(),
                Some("vars_from") => from.vars = text(),
                Some("defaults_from") => from.defaults = text(),
                Some("handlers_from") => from.handlers = text(),
                _ => return Err(action::unknown_role_option(key)),
            }
        }
        let name = action::role_name(options)?;
        let level = with_params(keywords, None, outer);
        let rendered = (self.render)(&name, &level)?;
        let used = self.role(
            &rendered,
            &name.span,
            &from,
            place.playbook_dir,
            &level,
            Keywords::default(),
        )?;
        let mut items = Vec::new();
        for one in used {
            self.imported.push((one.role, one.handlers));
            items.push(static_block(one.level, one.tasks));
        }
        Ok(items)
    }
}

struct RoleRequest<'r> {
    name: &'r str,
    span: &'r Span,
    from: From,
    keywords: Keywords,
    params: Map,
    playbook_dir: &'r Path,
    /// Roles already used in this play, with their parameters.
    seen: &'r mut Vec<(PathBuf, Map, Map)>,
    depth: usize,
}

/// A level whose variables are parameters: those of an import win over facts.
fn with_params(mut keywords: Keywords, role: Option<Arc<Role>>, outer: &Arc<Level>) -> Arc<Level> {
    let params = std::mem::take(&mut keywords.vars);
    Arc::new(Level {
        keywords,
        params,
        role,
        outer: Some(outer.clone()),
    })
}

fn is_task_keyword(name: &str) -> bool {
    TASK.contains(&name) || name.starts_with("with_")
}

fn static_block(level: Arc<Level>, body: Vec<Item>) -> Item {
    Item::Block(Arc::new(Block {
        level,
        body,
        rescue: Vec::new(),
        always: Vec::new(),
    }))
}

fn refuse_loop(looped: Option<&Loop>, name: &str, other: &str) -> Result<(), Diagnostic> {
    match looped {
        None => Ok(()),
        Some(l) => Err(Diagnostic::error(format!(
            "`{name}` cannot be looped: it is resolved before anything runs"
        ))
        .at(&l.items.span)
        .help(format!("use `{other}`"))),
    }
}

fn first_line(node: &Node, pairs: &[(Node, Node)]) -> Span {
    let start = pairs.first().map_or(node.span.start, |(k, _)| k.span.start);
    let text = node.span.source.text.get(start..).unwrap_or_default();
    let end = start + text.find('\n').unwrap_or(text.len());
    Span::new(&node.span.source, start, end)
}

const PLAY: &[&str] = &[
    "hosts",
    "gather_facts",
    "gather_subset",
    "gather_timeout",
    "roles",
    "tasks",
    "pre_tasks",
    "post_tasks",
    "handlers",
    "vars_files",
    "serial",
    "strategy",
    "order",
    "max_fail_percentage",
    "force_handlers",
    "import_playbook",
];

#[derive(Default)]
struct PlayKeywords {
    name: Option<Written>,
    hosts: Option<Written>,
    gather_facts: Option<Written>,
    gather_subset: Option<Written>,
    gather_timeout: Option<Written>,
    vars_files: Vec<Written>,
    serial: Option<Written>,
    strategy: Option<Written>,
    order: Option<Written>,
    max_fail_percentage: Option<Written>,
    force_handlers: Option<Written>,
    roles: Option<Node>,
    pre_tasks: Option<Node>,
    tasks: Option<Node>,
    post_tasks: Option<Node>,
    handlers: Option<Node>,
}

impl PlayKeywords {
    fn read(&mut self, key: &Node, value: &Node) -> bool {
        let one = || Some(Written::of(value));
        match key.text().unwrap_or_default() {
            "name" => self.name = one(),
            "hosts" => self.hosts = one(),
            "gather_facts" => self.gather_facts = one(),
            "gather_subset" => self.gather_subset = one(),
            "gather_timeout" => self.gather_timeout = one(),
            "vars_files" => self.vars_files = Written::list(value),
            "serial" => self.serial = one(),
            "strategy" => self.strategy = one(),
            "order" => self.order = one(),
            "max_fail_percentage" => self.max_fail_percentage = one(),
            "force_handlers" => self.force_handlers = one(),
            "roles" => self.roles = Some(value.clone()),
            "pre_tasks" => self.pre_tasks = Some(value.clone()),
            "tasks" => self.tasks = Some(value.clone()),
            "post_tasks" => self.post_tasks = Some(value.clone()),
            "handlers" => self.handlers = Some(value.clone()),
            _ => return false,
        }
        true
    }
}

const TASK: &[&str] = &[
    "action",
    "local_action",
    "args",
    "loop",
    "loop_control",
    "register",
    "until",
    "retries",
    "delay",
    "changed_when",
    "failed_when",
    "listen",
    "block",
    "with_items",
    "with_dict",
    "with_fileglob",
];

#[derive(Default)]
struct TaskKeywords {
    name: Option<Written>,
    action: Option<(Node, Node)>,
    local: Option<Span>,
    args: Option<Node>,
    looped: Option<Loop>,
    register: Option<Arc<str>>,
    until: Vec<Written>,
    retries: Option<Written>,
    delay: Option<Written>,
    changed_when: Option<Vec<Written>>,
    failed_when: Option<Vec<Written>>,
    listen: Vec<Written>,
    strangers: Vec<Node>,
    control: Option<Node>,
}

impl TaskKeywords {
    fn read(&mut self, key: &Node, value: &Node, handler: bool) -> Result<bool, Diagnostic> {
        match key.text().unwrap_or_default() {
            "name" => self.name = Some(Written::of(value)).filter(|w| w.value != Value::Null),
            "args" => self.args = Some(value.clone()),
            "register" => self.register = Some(register(value)?),
            "until" => self.until = Written::list(value),
            "retries" => self.retries = Some(Written::of(value)),
            "delay" => self.delay = Some(Written::of(value)),
            "changed_when" => self.changed_when = Some(Written::list(value)),
            "failed_when" => self.failed_when = Some(Written::list(value)),
            "listen" if handler => self.listen = Written::list(value),
            "loop" => self.repeat(None, key, value)?,
            "loop_control" => {
                self.control = Some(value.clone());
                self.apply_control()?;
            }
            "action" | "local_action" => self.old_action(key, value)?,
            name => match name.strip_prefix("with_") {
                Some(lookup) => self.repeat(Some(known_loop(lookup, key)?), key, value)?,
                None => return Ok(false),
            },
        }
        Ok(true)
    }

    fn repeat(&mut self, lookup: Option<Arc<str>>, key: &Node, value: &Node) -> Result<(), Diagnostic> {
        if self.looped.is_some() {
            return Err(Diagnostic::error("a task has one loop").at(&key.span));
        }
        self.looped = Some(Loop {
            lookup,
            items: Written::of(value),
            loop_var: None,
            index_var: None,
            label: None,
            pause: None,
            extended: None,
        });
        self.apply_control()
    }

    /// `loop_control` may stand before or after the loop.
    fn apply_control(&mut self) -> Result<(), Diagnostic> {
        let (Some(looped), Some(control)) = (&mut self.looped, &self.control) else {
            return Ok(());
        };
        let pairs = control.as_map().ok_or_else(|| {
            Diagnostic::error(format!(
                "`loop_control` is a mapping, but this is {}",
                control.what()
            ))
            .at(&control.span)
        })?;
        let names = [
            "loop_var",
            "index_var",
            "label",
            "pause",
            "extended",
            "extended_allitems",
            "break_when",
        ];
        for (key, value) in pairs {
            let one = Some(Written::of(value));
            match key.text().unwrap_or_default() {
                "loop_var" => looped.loop_var = one,
                "index_var" => looped.index_var = one,
                "label" => looped.label = one,
                "pause" => looped.pause = one,
                "extended" => looped.extended = one,
                "extended_allitems" => {}
                _ => return Err(unknown(key, "`loop_control`", &names)),
            }
        }
        Ok(())
    }

    /// `action: module arguments`, as it was written long ago.
    fn old_action(&mut self, key: &Node, value: &Node) -> Result<(), Diagnostic> {
        if key.text() == Some("local_action") {
            self.local = Some(key.span.clone());
        }
        if let Some(pairs) = value.as_map() {
            let (_, name) = pairs
                .iter()
                .find(|(k, _)| k.text() == Some("module"))
                .ok_or_else(|| Diagnostic::error("which module? `module:` is missing").at(&value.span))?;
            let rest: Vec<_> = pairs
                .iter()
                .filter(|(k, _)| k.text() != Some("module"))
                .cloned()
                .collect();
            let arguments = Node {
                kind: yaml::Kind::Map(Arc::new(rest)),
                span: value.span.clone(),
            };
            self.action = Some((name.clone(), arguments));
            return Ok(());
        }
        let text = value.text().unwrap_or_default();
        let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let node = |text: &str| Node {
            kind: yaml::Kind::String(text.into()),
            span: value.span.clone(),
        };
        self.action = Some((node(name), node(rest.trim_start())));
        Ok(())
    }
}

fn register(node: &Node) -> Result<Arc<str>, Diagnostic> {
    let Some(name) = node.text() else {
        return Err(Diagnostic::error(format!(
            "`register` is the name of a variable, but this is {}",
            node.what()
        ))
        .at(&node.span));
    };
    if keywords::is_name(name) {
        return Ok(name.into());
    }
    Err(
        Diagnostic::error(format!("`{name}` cannot be the name of a variable"))
            .at(&node.span)
            .help("names are letters, digits and underscores, and do not begin with a digit"),
    )
}

/// `with_x` loops over what the lookup `x` gives.
fn known_loop(lookup: &str, key: &Node) -> Result<Arc<str>, Diagnostic> {
    let known = Engine::lookups();
    if lookup == "list" || known.contains(&lookup) {
        return Ok(lookup.into());
    }
    let error = Diagnostic::error(format!("there is no loop `with_{lookup}`")).at(&key.span);
    Err(match nearest(lookup, known.iter().copied()) {
        Some(near) => error.help(format!("did you mean `with_{near}`?")),
        None => error.help("`loop` takes any list"),
    })
}
