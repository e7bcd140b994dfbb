//! Roles with their dependencies, as plays and tasks use them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Loader, MAX_IMPORTS, Place, RoleUse};
use crate::playbook::keywords::{Keywords, Level, Written, unknown};
use crate::playbook::role::From;
use crate::playbook::{Role, action, keywords, role};
use crate::source::{Diagnostic, Span};
use crate::vars::Map;
use crate::yaml::Node;

/// A role that a play or a task asks for.
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

impl Loader<'_> {
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

    pub(super) fn play_roles(
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
                    // Any other name is a parameter of the role, in Ansible too.
                    Some(name) if name != "needs" && keywords::read(&mut keywords, key, value)? => {}
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
        for folder in ["defaults", "handlers", "meta", "tasks", "vars"] {
            self.read.push(path.join(folder));
        }
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
}
