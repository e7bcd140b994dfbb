//! The objects that a task describes: written in the playbook, in files, templates, or behind a URL, each with the
//! place where it stands.

use std::fmt;

use serde_json::json;

use super::hidden;
use super::kinds;
use super::object::{Id, Json};
use crate::host::question::{Contents, Read};
use crate::host::{FileSearch, Halt, Host, fail};
use crate::source::{Source, Span};
use crate::vars::{Map, Value};
use crate::yaml::{self, Node};

/// Larger than any manifest that a person reads.
const LARGEST: u64 = 32 << 20;

/// An object as a task describes it.
#[derive(Debug, Clone)]
pub struct Manifest {
    pub body: Json,
    pub place: Place,
    /// As it stands in a file.
    node: Option<Node>,
}

/// Where a description stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// A file's name, a URL, or the option's.
    pub file: String,
    /// From 1, of those in the file.
    pub document: usize,
    /// From 1; `None`: the option holds no text.
    pub line: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, document {}", self.file, self.document)?;
        match self.line {
            Some(line) => write!(f, ", line {line}"),
            None => Ok(()),
        }
    }
}

/// Where a task's descriptions come from; with none of them, `kind` and `name` are the description.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sources<'a> {
    pub definition: Option<&'a Value>,
    pub src: Option<&'a str>,
    pub template: Option<&'a Value>,
}

/// Options that fill in what a description lacks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Defaults<'a> {
    pub api_version: &'a str,
    pub kind: Option<&'a str>,
    pub name: Option<&'a str>,
    pub namespace: Option<&'a str>,
    pub generate_name: Option<&'a str>,
}

/// All that a task describes, lists of objects taken apart, with the defaults filled in.
pub async fn read(host: &Host, sources: Sources<'_>, defaults: Defaults<'_>) -> Result<Vec<Manifest>, Halt> {
    let mut found = match sources {
        Sources {
            definition: Some(definition),
            ..
        } => from_value(definition, "definition")?,
        Sources { src: Some(src), .. } => from_src(host, src).await?,
        Sources {
            template: Some(template),
            ..
        } => from_templates(host, template).await?,
        _ => vec![Manifest::alone(json!({}), "the task")],
    };
    for manifest in &mut found {
        defaults.fill(&mut manifest.body);
    }
    let mut all = Vec::new();
    for manifest in found {
        manifest.take_apart(defaults, &mut all);
    }
    for manifest in &mut all {
        manifest.check()?;
    }
    Ok(all)
}

async fn from_src(host: &Host, src: &str) -> Result<Vec<Manifest>, Halt> {
    if src.starts_with("http://") || src.starts_with("https://") {
        let text = host.fetch(src).await?;
        return from_text(&text, src);
    }
    if src.contains("://") {
        return Err(fail(format!(
            "`{src}` cannot be fetched: only http and https can be"
        )));
    }
    if !src.starts_with(['/', '~']) {
        let file = host.file(FileSearch::Files, src).await?;
        let name = file.path.display().to_string();
        let Some(bytes) = file.bytes else {
            return Err(fail(format!(
                "`{name}` is a directory, and only a file can be read"
            )));
        };
        return from_bytes(&bytes, &name);
    }
    let path = host.path(src).await?;
    let read = Read {
        path: path.clone(),
        limit: LARGEST,
    };
    match host.ask(read).await? {
        Contents::Bytes(bytes) => from_bytes(&bytes, &path),
        Contents::Absent => Err(fail(format!(
            "there is no file {path} on the host; a file of the project is named by a path relative to `files/`"
        ))),
        Contents::TooLarge(size) => Err(fail(format!("{path} has {size} bytes, too many for manifests"))),
        Contents::Unreadable(why) => Err(fail(format!("{path} cannot be read: {why}"))),
    }
}

async fn from_templates(host: &Host, given: &Value) -> Result<Vec<Manifest>, Halt> {
    let each = given.as_list().map_or(std::slice::from_ref(given), |list| list);
    let mut all = Vec::new();
    for template in each {
        let (path, options) = match template {
            Value::Map(options) => {
                let mut options: Map = (**options).clone();
                let path = options.shift_remove("path");
                (path, options)
            }
            other => (Some(other.clone()), Map::new()),
        };
        let path = path.as_ref().and_then(Value::as_str).map(String::from);
        let Some(path) = path else {
            return Err(fail("`template` needs the `path` of a template"));
        };
        let text = host.template(&path, options).await?;
        all.extend(from_text(&text, &path)?);
    }
    Ok(all)
}

fn from_bytes(bytes: &[u8], name: &str) -> Result<Vec<Manifest>, Halt> {
    match std::str::from_utf8(bytes) {
        Ok(text) => from_text(text, name),
        Err(_) => Err(fail(format!("{name} is not UTF-8 text"))),
    }
}

/// The documents of a YAML text; empty ones are none.
fn from_text(text: &str, name: &str) -> Result<Vec<Manifest>, Halt> {
    let source = Source::new(name, text);
    let (roots, _) = yaml::parse_many(&source).map_err(|error| fail(error.one_line()))?;
    let mut all = Vec::new();
    for (i, node) in roots.into_iter().enumerate() {
        let place = Place {
            file: name.to_string(),
            document: i + 1,
            line: Some(line(&node.span)),
        };
        if node.is_null() {
            continue;
        }
        if node.as_map().is_none() {
            return Err(fail(format!(
                "{place}: an object is a mapping, not {}",
                node.what()
            )));
        }
        all.push(Manifest {
            body: to_json(&node.value(), &place)?,
            place,
            node: Some(node),
        });
    }
    Ok(all)
}

/// The objects of a YAML text.
pub fn objects(text: &str, name: &str) -> Result<Vec<Json>, Halt> {
    Ok(from_text(text, name)?
        .into_iter()
        .map(|manifest| manifest.body)
        .collect())
}

fn from_value(value: &Value, name: &str) -> Result<Vec<Manifest>, Halt> {
    match value {
        Value::List(items) => {
            let mut all = Vec::new();
            for (i, item) in items.iter().enumerate() {
                let mut found = from_value(item, name)?;
                if item.as_str().is_none() {
                    for manifest in &mut found {
                        manifest.place.document = i + 1;
                    }
                }
                all.append(&mut found);
            }
            Ok(all)
        }
        Value::Map(map) if map.is_empty() => Ok(Vec::new()),
        Value::Map(_) => {
            let mut manifest = Manifest::alone(json!({}), name);
            manifest.body = to_json(value, &manifest.place)?;
            Ok(vec![manifest])
        }
        Value::Null => Ok(Vec::new()),
        other => match other.as_str() {
            Some(text) => from_text(text, name),
            None => Err(fail(format!(
                "`{name}` is a mapping, a list of them, or YAML text, not a {}",
                other.type_name()
            ))),
        },
    }
}

fn to_json(value: &Value, place: &Place) -> Result<Json, Halt> {
    if let Some(reason) = value.unknown() {
        return Err(Halt::Unknown(reason.clone()));
    }
    serde_json::to_value(value).map_err(|error| fail(format!("{place}: {error}")))
}

fn line(span: &Span) -> usize {
    span.source.line_column(span.start).0
}

impl Defaults<'_> {
    fn fill(&self, body: &mut Json) {
        let Some(members) = body.as_object_mut() else {
            return;
        };
        let fill = |members: &mut serde_json::Map<String, Json>, name: &str, value: Option<&str>| {
            if let (Some(value), None) = (value, members.get(name)) {
                members.insert(name.to_string(), value.into());
            }
        };
        fill(members, "apiVersion", Some(self.api_version));
        fill(members, "kind", self.kind);
        let metadata = members.entry("metadata").or_insert_with(|| json!({}));
        if metadata.is_null() {
            *metadata = json!({});
        }
        let Some(metadata) = metadata.as_object_mut() else {
            return;
        };
        fill(metadata, "namespace", self.namespace);
        fill(metadata, "name", self.name);
        fill(metadata, "generateName", self.generate_name);
    }
}

impl Manifest {
    fn alone(body: Json, name: &str) -> Self {
        Self {
            body,
            place: Place {
                file: name.to_string(),
                document: 1,
                line: None,
            },
            node: None,
        }
    }

    pub fn id(&self) -> Id {
        Id::of(&self.body)
    }

    /// The name in a message: with its place, if that says more than the task does.
    pub fn named(&self, field: Option<&str>) -> String {
        let id = self.id();
        match (self.line_of(field), self.place.line) {
            (Some(line), _) | (None, Some(line)) => {
                format!(
                    "{id} ({}, document {}, line {line})",
                    self.place.file, self.place.document
                )
            }
            (None, None) if self.place.document > 1 => {
                format!("{id} (document {} of `{}`)", self.place.document, self.place.file)
            }
            _ => id.to_string(),
        }
    }

    /// The line of a field, as the server names it: `spec.replicas`, `.spec.ports[0].port`,
    /// `.spec.containers[name="c"].image`.
    fn line_of(&self, field: Option<&str>) -> Option<usize> {
        let parts = hidden::parts(field?);
        let found = search(self.node.as_ref()?, &parts)?;
        Some(line(&found.span))
    }

    /// Whether the description holds this field.
    pub fn has(&self, field: &str) -> bool {
        holds(&self.body, &hidden::parts(field))
    }

    /// `kind: PodList` with its items is what its items are.
    fn take_apart(self, defaults: Defaults<'_>, all: &mut Vec<Self>) {
        let kind = self.body["kind"].as_str().unwrap_or_default().to_string();
        let (Some(of), Json::Array(items)) = (kind.strip_suffix("List"), &self.body["items"]) else {
            all.push(self);
            return;
        };
        let nodes = self
            .node
            .as_ref()
            .and_then(|node| node.get("items"))
            .and_then(Node::as_list);
        for (i, item) in items.iter().enumerate() {
            let mut body = item.clone();
            let node = nodes.and_then(|nodes| nodes.get(i)).cloned();
            if let (Some(members), false) = (body.as_object_mut(), of.is_empty()) {
                members.entry("kind").or_insert_with(|| of.into());
                members
                    .entry("apiVersion")
                    .or_insert_with(|| self.body["apiVersion"].clone());
            }
            defaults.fill(&mut body);
            let line = node.as_ref().map(|node| line(&node.span)).or(self.place.line);
            all.push(Self {
                body,
                place: Place {
                    line,
                    ..self.place.clone()
                },
                node,
            });
        }
    }

    /// Refuses what no server could know what to do with, and spells the kind as it does.
    fn check(&mut self) -> Result<(), Halt> {
        let id = self.id();
        if id.kind.is_empty() {
            return Err(fail(format!("{}: an object needs a `kind`", self.place)));
        }
        if !self.body["metadata"].is_object() {
            return Err(fail(format!(
                "{}: `metadata` of an object is a mapping",
                self.named(Some("metadata"))
            )));
        }
        if let Some((kind, version)) = kinds::spelled(&id.kind, &id.api_version) {
            self.body["kind"] = kind.into();
            self.body["apiVersion"] = version.into();
        }
        if self.body["kind"].as_str().is_some_and(kinds::is_of_the_cluster)
            && let Some(metadata) = self.body["metadata"].as_object_mut()
        {
            metadata.remove("namespace");
        }
        Ok(())
    }
}

/// The node at a path; where the path does not say which item of a list, the first that has the rest.
fn search<'a>(node: &'a Node, path: &[String]) -> Option<&'a Node> {
    let Some((first, rest)) = path.split_first() else {
        return Some(node);
    };
    let Some(items) = node.as_list() else {
        return search(node.get(first)?, rest);
    };
    if let Ok(index) = first.parse::<usize>() {
        return search(items.get(index)?, rest);
    }
    // `[name="c",protocol="TCP"]`
    if first.contains('=') {
        let keys: Vec<(&str, &str)> = first.split(',').filter_map(|pair| pair.split_once('=')).collect();
        let is = |item: &&Node| {
            keys.iter().all(|(key, value)| {
                let text = item.get(key).and_then(Node::text);
                text.is_none_or(|text| text == value.trim_matches('"'))
            })
        };
        return search(items.iter().find(is)?, rest);
    }
    items.iter().find_map(|item| search(item, path))
}

fn holds(value: &Json, path: &[String]) -> bool {
    let Some((first, rest)) = path.split_first() else {
        return true;
    };
    match value {
        Json::Object(map) => map.get(first).is_some_and(|inner| holds(inner, rest)),
        Json::Array(items) => match first.parse::<usize>() {
            Ok(index) => items.get(index).is_some_and(|item| holds(item, rest)),
            Err(_) => items.iter().any(|item| holds(item, path)),
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "---\n# nothing but words\n---\nkind: Deployment\napiVersion: apps/v1\nmetadata: {name: d}\nspec:\n  \
        replicas: two\n  containers:\n  - name: a\n  - name: c\n    ports:\n    - containerPort: 80\n---\nkind: \
        ConfigMapList\napiVersion: v1\nitems:\n- metadata: {name: a}\n- metadata: {name: b}\n";

    fn all(text: &str) -> Vec<Manifest> {
        let defaults = Defaults {
            api_version: "v1",
            namespace: Some("n"),
            ..Defaults::default()
        };
        let mut all = Vec::new();
        for mut manifest in from_text(text, "f.yml").unwrap() {
            defaults.fill(&mut manifest.body);
            manifest.take_apart(defaults, &mut all);
        }
        all
    }

    #[test]
    fn documents_and_lists_are_taken_apart() {
        let names: Vec<String> = all(TEXT).iter().map(|m| m.named(None)).collect();
        assert_eq!(
            names,
            [
                "Deployment n/d (f.yml, document 2, line 4)",
                "ConfigMap n/a (f.yml, document 3, line 18)",
                "ConfigMap n/b (f.yml, document 3, line 19)",
            ]
        );
    }

    #[test]
    fn a_field_has_its_line() {
        let deployment = &all(TEXT)[0];
        let line = |field| deployment.line_of(Some(field));
        assert_eq!(line("spec.replicas"), Some(8));
        assert_eq!(
            line(".spec.containers[name=\"c\"].ports[containerPort=\"80\",protocol=\"TCP\"].containerPort"),
            Some(13)
        );
        assert_eq!(line("spec.containers.ports.containerPort"), Some(13));
        assert_eq!(line("spec.containers[1].name"), Some(11));
        assert_eq!(line("spec.no.such"), None);
        assert!(deployment.has("spec.containers.ports") && !deployment.has("spec.strategy"));
    }
}
