//! Playbooks: plays, and the playbooks that they import.

use std::path::Path;
use std::sync::Arc;

use super::play_keywords::{PLAY, PlayKeywords};
use super::task_keywords::is_task_keyword;
use super::{Loader, MAX_IMPORTS, Place};
use crate::playbook::keywords::{Keywords, Level, Written, unknown};
use crate::playbook::{Play, PlayRole, action, keywords};
use crate::source::Diagnostic;
use crate::vars::Value;
use crate::yaml::Node;

impl Loader<'_> {
    pub(super) fn plays(
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
                self.import_playbook(path, pairs, file, outer, depth, plays)?;
            } else {
                let play = self.play(path, node, pairs, outer)?;
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
        // Their order is that in which they run: roles', the play's own, those of `import_role`.
        let mut handlers = Vec::new();
        let mut roles = Vec::new();
        for used in self.play_roles(own.roles.as_ref(), directory, &level)? {
            handlers.extend(used.handlers);
            roles.push(PlayRole {
                role: used.role,
                level: used.level,
                tasks: used.tasks,
            });
        }
        if let Some(written) = own.handlers {
            let place = Place {
                handlers: true,
                ..place.clone()
            };
            handlers.extend(self.items(&written, &place, &level)?);
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
}
