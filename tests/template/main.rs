//! Templates as Ansible evaluates them: recorded results, and the sentences of errors.
//!
//! `tests/template/*.json` hold cases with what ansible-core 2.18 made of them (`record.py` there records
//! them); `errors/*.txt` there hold errors with their whole text.

#![expect(clippy::unwrap_used, reason = "in a test, what is not there is the failure")]

mod errors;
mod looking;
mod soundness;
mod web;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::Value as Json;
use vmstation::source::Source;
use vmstation::template::{
    Controller, Engine, Entry, FileOptions, Found, Moment, Outside, Scope, TemplateError,
};
use vmstation::transport::web::Fetch;
use vmstation::vars::{Key, Value};

#[derive(Debug)]
struct Vars(BTreeMap<String, Value>);

impl Scope for Vars {
    fn get(&self, name: &str) -> Found {
        self.0.get(name).cloned().map_or(Found::Undefined, Found::Value)
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.0.keys().map(|k| k.as_str().into()).collect()
    }
}

/// This machine, with the environment variable that `record.py` sets.
#[derive(Debug)]
struct Recorded;

impl Outside for Recorded {
    fn env(&self, name: &str) -> Option<String> {
        match name {
            "RECORD_HOME" => Some("/home/someone".to_string()),
            _ => Controller.env(name),
        }
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        Controller.read(path)
    }

    fn write_private(&self, path: &Path, content: &[u8]) -> Result<(), String> {
        Controller.write_private(path, content)
    }

    fn entry(&self, path: &Path, follow: bool) -> Option<Entry> {
        Controller.entry(path, follow)
    }

    fn list(&self, directory: &Path) -> Vec<String> {
        Controller.list(directory)
    }

    fn real_path(&self, path: &Path) -> PathBuf {
        Controller.real_path(path)
    }

    fn pipe(&self, command: &str) -> Result<String, String> {
        Controller.pipe(command)
    }

    fn fetch(&self, request: &Fetch) -> Result<String, String> {
        Controller.fetch(request)
    }

    fn now(&self) -> SystemTime {
        Controller.now()
    }

    fn utc_offset(&self, at: SystemTime) -> i64 {
        Controller.utc_offset(at)
    }

    fn random(&self) -> u64 {
        Controller.random()
    }

    fn working_directory(&self) -> PathBuf {
        Controller.working_directory()
    }
}

/// JSON as a person would have written it: text may be a template, unless it is marked.
fn written(json: &Json) -> Value {
    match json {
        Json::String(text) => Value::written(text, None),
        Json::Array(items) => Value::list(items.iter().map(written)),
        Json::Object(map) if map.len() == 1 && map.contains_key("__unsafe__") => {
            Value::from(map["__unsafe__"].as_str().unwrap())
        }
        Json::Object(map) => Value::map(map.iter().map(|(k, v)| (k.as_str(), written(v)))),
        other => Value::from(other.clone()),
    }
}

fn scope(vars: &Json) -> Arc<dyn Scope> {
    let map = vars.as_object().unwrap();
    Arc::new(Vars(map.iter().map(|(k, v)| (k.clone(), written(v))).collect()))
}

fn json(value: &Value) -> Json {
    match value {
        Value::Map(map) => {
            let key = |k: &Key| match k {
                Key::Bool(b) => b.to_string(),
                Key::Null => "null".to_string(),
                other => other.to_string(),
            };
            Json::Object(map.iter().map(|(k, v)| (key(k), json(v))).collect())
        }
        Value::List(items) => items.iter().map(json).collect(),
        other => serde_json::to_value(other).unwrap(),
    }
}

fn run(engine: &Engine, case: &Json, scope: &Arc<dyn Scope>) -> Result<Json, TemplateError> {
    if let Some(condition) = case.get("when") {
        let condition = written(condition);
        return engine
            .condition(&condition, None, scope, Moment::Turn)
            .map(Json::from);
    }
    if let Some(text) = case.get("file") {
        let source = Source::new("case.j2", text.as_str().unwrap());
        return engine
            .file(&source, &FileOptions::default(), scope, Moment::Turn)
            .map(Json::from);
    }
    let value = Value::written(case["text"].as_str().unwrap(), None);
    engine.render(&value, scope, Moment::Turn).map(|v| json(&v))
}

fn alike(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(x), Json::Number(y)) => {
            x.is_f64() == y.is_f64()
                && (x.as_f64().unwrap() - y.as_f64().unwrap()).abs() <= 1e-12 * x.as_f64().unwrap().abs()
        }
        (Json::Array(x), Json::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| alike(x, y)),
        (Json::Object(x), Json::Object(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|((k, x), (l, y))| k == l && alike(x, y))
        }
        _ => a == b,
    }
}

fn verdict(case: &Json, got: &Result<Json, TemplateError>) -> Option<String> {
    let wanted = match case.get("fails").and_then(Json::as_str) {
        Some(kind) => {
            let fine = match got {
                Err(TemplateError::Undefined(_)) => true,
                Err(TemplateError::Failed(_)) => kind == "failed",
                _ => false,
            };
            if fine {
                return None;
            }
            format!("fails: {kind}")
        }
        None => match got {
            Ok(value) if alike(value, &case["gives"]) => return None,
            _ => case["gives"].to_string(),
        },
    };
    let got = match got {
        Ok(value) => value.to_string(),
        Err(TemplateError::Undefined(d) | TemplateError::Failed(d)) => format!("{d}"),
        Err(other) => format!("{other:?}"),
    };
    let what = case
        .get("text")
        .or(case.get("when"))
        .or(case.get("file"))
        .unwrap();
    Some(format!("{what}\n   wanted {wanted}\n   got    {got}"))
}

#[test]
fn recorded_cases() {
    let engine = Engine::new(Arc::new(Recorded));
    let mut files: Vec<_> = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/template"))
        .unwrap()
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    let (mut count, mut wrong) = (0, Vec::new());
    for file in files {
        let data: Json = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let scope = scope(&data["vars"]);
        for case in data["cases"].as_array().unwrap() {
            count += 1;
            let got = run(&engine, case, &scope);
            wrong
                .extend(verdict(case, &got).map(|v| format!("{}: {v}", file.file_stem().unwrap().display())));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count} differ\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
