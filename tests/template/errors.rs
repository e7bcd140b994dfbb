//! Errors with their whole text: what was found, the caret, what to do about it.
//!
//! A case is a file under `errors/`: sections `vars.yml`, then `task.yml` (its `msg` is rendered, its `when`
//! is judged) or a template file, then `expect`. `RECORD=1 cargo test` writes what came out; read it before
//! you keep it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use vmstation::source::Source;
use vmstation::template::{Controller, Engine, FileOptions, Moment, Scope, TemplateError};
use vmstation::yaml;

use super::Vars;

fn sections(text: &str) -> BTreeMap<&str, String> {
    text.trim_start_matches("== ")
        .split("\n== ")
        .filter_map(|part| part.split_once('\n'))
        .map(|(name, body)| (name, format!("{}\n", body.trim_end_matches('\n'))))
        .collect()
}

fn scope(text: &str) -> Arc<dyn Scope> {
    let source = Source::new("vars.yml", text);
    let root = yaml::parse(&source).unwrap().root.unwrap();
    let pairs = root.as_map().unwrap().iter();
    let vars = pairs.map(|(k, v)| (k.text().unwrap().to_string(), v.value()));
    Arc::new(Vars(vars.collect()))
}

fn task(engine: &Engine, text: &str, scope: &Arc<dyn Scope>) -> Result<(), TemplateError> {
    let source = Source::new("task.yml", text);
    let root = yaml::parse(&source).unwrap().root.unwrap();
    if let Some(when) = root.get("when") {
        return engine
            .condition(&when.value(), Some(&when.span), scope, Moment::Turn)
            .map(drop);
    }
    let value = root.get("msg").unwrap().value();
    engine.render(&value, scope, Moment::Turn).map(drop)
}

fn said(engine: &Engine, sections: &BTreeMap<&str, String>) -> String {
    let scope = scope(&sections["vars.yml"]);
    let result = if let Some(text) = sections.get("task.yml") {
        task(engine, text, &scope)
    } else {
        let (name, text) = sections.iter().find(|(n, _)| n.contains(".j2")).unwrap();
        let source = Source::new(*name, text.as_str());
        let options = FileOptions::default();
        engine.file(&source, &options, &scope, Moment::Turn).map(drop)
    };
    match result {
        Ok(()) => "no error\n".to_string(),
        Err(TemplateError::Undefined(d) | TemplateError::Failed(d)) => format!("{d}\n"),
        Err(other) => format!("{other:?}\n"),
    }
}

#[test]
fn errors_say_what_where_and_what_to_do() {
    let engine = Engine::new(Arc::new(Controller));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/template/errors");
    let record = std::env::var_os("RECORD").is_some();
    let mut wrong = Vec::new();
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|e| e.path())
        .collect();
    paths.sort();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let given = text.split("== expect\n").next().unwrap();
        let sections = sections(&text);
        let got = said(&engine, &sections);
        if record {
            std::fs::write(&path, format!("{given}== expect\n{got}")).unwrap();
            continue;
        }
        if sections.get("expect") != Some(&got) {
            wrong.push(format!("{}\n{got}", path.file_stem().unwrap().display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
