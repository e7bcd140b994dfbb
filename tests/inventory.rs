//! Inventories and ansible.cfg as Ansible reads them: every case under `tests/inventory/cases` is compared
//! with what Ansible itself made of it (`tests/inventory/record.sh`); every file under
//! `tests/inventory/errors` with the sentence that a person sees.

#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use vmstation::config::{Config, Environment};
use vmstation::inventory::{Inventory, Loaded, extra_vars};
use vmstation::source::Diagnostic;
use vmstation::vars::{Map, Value};

fn directories(of: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/inventory")
        .join(of);
    let mut found: Vec<PathBuf> = std::fs::read_dir(root)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    found.sort();
    found
}

fn read_json(path: &Path) -> Json {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn sources(case: &Json) -> Vec<String> {
    let sources = case["sources"].as_array().unwrap();
    sources.iter().map(|s| s.as_str().unwrap().to_string()).collect()
}

/// What we make of a case, in the shape of `expected.json`.
fn ours(directory: &Path) -> Json {
    let case = read_json(&directory.join("case.json"));
    let Loaded { inventory, .. } = Inventory::load(&sources(&case), directory).unwrap();
    let play = case["playbook_dir"].as_str().map(|p| directory.join(p));
    let mut names: Vec<String> = inventory.groups()["all"]
        .iter()
        .map(ToString::to_string)
        .collect();
    names.push("localhost".to_string());
    let host = |name: &String| (name.clone(), host(&inventory, name, play.as_deref(), directory));
    let select = |p: &Json| json!([p[0], p[1], select(&inventory, p, directory)]);
    json!({
        "hosts": inventory.hosts(),
        "groups": inventory.groups(),
        "group_order": inventory.groups().keys().collect::<Vec<_>>(),
        "select": case["patterns"].as_array().map_or(Vec::new(), |p| p.iter().map(select).collect()),
        "host": names.iter().map(host).collect::<serde_json::Map<_, _>>(),
    })
}

fn host(inventory: &Inventory, name: &str, play: Option<&Path>, directory: &Path) -> Json {
    let name = inventory.resolve(name).unwrap();
    let below = |p: &Path| p.strip_prefix(directory).unwrap_or(p).display().to_string();
    let from_here = |p: &Path| Some(below(p)).map(|p| if p.is_empty() { ".".to_string() } else { p });
    json!({
        "vars": inventory.vars(&name, play).unwrap().iter().map(|(k, v)| (k.to_string(), json!(v))).collect::<serde_json::Map<_, _>>(),
        "group_names": inventory.group_names(&name),
        "inventory_file": inventory.source_file(&name).and_then(from_here),
        "inventory_dir": inventory.source_dir(&name).and_then(from_here),
    })
}

fn select(inventory: &Inventory, case: &Json, directory: &Path) -> Json {
    let limit = case[1]
        .as_str()
        .map(|l| l.replace('@', &format!("@{}/", directory.display())));
    match inventory.select(case[0].as_str().unwrap(), limit.as_deref()) {
        Ok((hosts, _)) => json!(hosts),
        Err(_) => json!("error"),
    }
}

/// The places where two values differ, as `path: ours, Ansible's`.
fn differences(path: &str, ours: &Json, theirs: &Json, out: &mut Vec<String>) {
    match (ours, theirs) {
        (Json::Object(a), Json::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|k| !a.contains_key(*k))) {
                let (a, b) = (a.get(key), b.get(key));
                let missing = json!("(missing)");
                differences(
                    &format!("{path}.{key}"),
                    a.unwrap_or(&missing),
                    b.unwrap_or(&missing),
                    out,
                );
            }
        }
        (Json::Array(a), Json::Array(b)) if path.ends_with(".select") => {
            for (a, b) in a.iter().zip(b) {
                differences(&format!("{path} {} limit {}", b[0], b[1]), &a[2], &b[2], out);
            }
        }
        _ if ours == theirs => {}
        _ => out.push(format!("{path}: ours {ours}, Ansible's {theirs}")),
    }
}

#[test]
fn every_case_is_read_as_ansible_reads_it() {
    let mut wrong = Vec::new();
    for directory in directories("cases") {
        let name = directory.file_name().unwrap().to_string_lossy().into_owned();
        let theirs = read_json(&directory.join("expected.json"));
        differences(&name, &ours(&directory), &theirs, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The environment of a configuration case: its own home, and what its file `environment` says.
fn environment(directory: &Path) -> Environment {
    let mut environment = Environment::new();
    environment.insert("HOME".into(), directory.join("home").display().to_string());
    let text = std::fs::read_to_string(directory.join("environment")).unwrap_or_default();
    environment.extend(text.lines().map(|l| {
        let (name, value) = l.split_once('=').unwrap();
        (name.to_string(), value.to_string())
    }));
    environment
}

fn config(directory: &Path) -> Json {
    let c = Config::load(&environment(directory), directory).unwrap();
    let below = |p: &Path| {
        p.display()
            .to_string()
            .replace(&directory.display().to_string(), "HERE")
    };
    let all = |paths: &[PathBuf]| paths.iter().map(|p| below(p)).collect::<Vec<_>>();
    json!({
        "file": c.file.as_deref().map(below),
        "inventory": all(&c.inventory),
        "roles_path": all(&c.roles_path),
        "gathering": format!("{:?}", c.gathering).to_lowercase(),
        "host_key_checking": c.host_key_checking,
        "timeout": c.timeout,
        "remote_user": c.remote_user,
        "remote_port": c.remote_port,
        "private_key_file": c.private_key_file.as_deref().map(below),
        "ask_pass": c.ask_pass,
        "transport": c.transport.as_deref().unwrap_or("ssh"),
        "become": c.become_,
        "become_method": c.become_method,
        "become_user": c.become_user,
        "become_ask_pass": c.become_ask_pass,
        "become_flags": c.become_flags.unwrap_or_default(),
        "become_exe": c.become_exe,
        "forks": c.forks.unwrap_or(5),
        "strategy": c.strategy.as_deref().unwrap_or("linear"),
        "force_handlers": c.force_handlers,
        "any_errors_fatal": c.any_errors_fatal,
        "diff_always": c.diff_always,
        "executable": c.executable.as_deref().unwrap_or("/bin/sh"),
        "ansible_managed": c.ansible_managed,
        "run_tags": c.run_tags,
        "skip_tags": c.skip_tags,
        "ssh_args": c.ssh_args.as_deref().unwrap_or("-C -o ControlMaster=auto -o ControlPersist=60s"),
        "ssh_common_args": c.ssh_common_args.unwrap_or_default(),
        "ssh_extra_args": c.ssh_extra_args.unwrap_or_default(),
        "retries": c.retries,
    })
}

#[test]
fn every_configuration_is_read_as_ansible_reads_it() {
    let mut wrong = Vec::new();
    for directory in directories("config") {
        let name = directory.file_name().unwrap().to_string_lossy().into_owned();
        let theirs = read_json(&directory.join("expected.json"));
        differences(&name, &config(&directory), &theirs, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// All that is said in a case, warnings first, as a person sees it.
fn said(directory: &Path) -> String {
    let case = read_json(&directory.join("case.json"));
    let mut said = Vec::new();
    if let Err(error) = say(directory, &case, &mut said) {
        said.push(error);
    }
    let said: Vec<String> = said.iter().map(ToString::to_string).collect();
    said.join("\n\n") + "\n"
}

fn say(directory: &Path, case: &Json, said: &mut Vec<Diagnostic>) -> Result<(), Diagnostic> {
    if let Some(args) = case["extra_vars"].as_array() {
        let args: Vec<String> = args.iter().map(|a| a.as_str().unwrap().to_string()).collect();
        said.extend(extra_vars(&args)?.1);
        return Ok(());
    }
    if case["config"].is_boolean() {
        let mut environment = environment(directory);
        for (name, value) in case["environment"].as_object().into_iter().flatten() {
            environment.insert(name.clone(), value.as_str().unwrap().to_string());
        }
        said.extend(Config::load(&environment, directory)?.warnings);
        return Ok(());
    }
    let Loaded { inventory, warnings } = Inventory::load(&sources(case), directory)?;
    said.extend(warnings);
    if let Some(host) = case["host"].as_str() {
        inventory.vars(host, None)?;
        said.extend(inventory.take_warnings());
    }
    if let Some(limit) = case["check_limit"].as_str() {
        said.extend(inventory.check_limit(limit)?);
    }
    if let Some(pattern) = case["pattern"].as_str() {
        said.extend(inventory.select(pattern, case["limit"].as_str())?.1);
    }
    Ok(())
}

/// With `BLESS=1` the sentences are written instead of compared: read them before committing them.
#[test]
fn every_mistake_is_told_with_its_place_and_a_way_out() {
    let mut wrong = Vec::new();
    for directory in directories("errors") {
        let (said, file) = (said(&directory), directory.join("expected.txt"));
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&file, &said).unwrap();
        }
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        if said != expected {
            wrong.push(format!(
                "== {}\n{said}-- expected\n{expected}",
                directory.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn command_line_variables() {
    let vars = |args: &[&str]| {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        let (vars, warnings) = extra_vars(&args).unwrap();
        assert_eq!(warnings, []);
        serde_json::to_string(&Value::from(vars)).unwrap()
    };
    assert_eq!(
        vars(&["a=1 b='x y'", "c=yes"]),
        r#"{"a":"1","b":"x y","c":"yes"}"#
    );
    assert_eq!(
        vars(&[r#"{"a": 1, "b": [true]}"#, "a=2"]),
        r#"{"a":"2","b":[true]}"#
    );
    assert_eq!(vars(&["{a: yes, b: {c: 0644}}"]), r#"{"a":true,"b":{"c":420}}"#);
    assert_eq!(
        vars(&["a={{ b | default('x y') }} c=d=e"]),
        r#"{"a":"{{ b | default('x y') }}","c":"d=e"}"#
    );
    assert_eq!(
        vars(&[r#"a="it's" b=x\ny c= d='' e=\\t"#]),
        r#"{"a":"it's","b":"x\ny","c":"","d":"","e":"\\t"}"#
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("vars.yml");
    std::fs::write(&file, "a: from file\nm: {x: 1}\n").unwrap();
    let arg = format!("@{}", file.display());
    assert_eq!(vars(&["a=0", &arg, "m=2"]), r#"{"a":"from file","m":"2"}"#);
}

#[test]
fn a_configuration_in_a_directory_that_anybody_may_write_is_left_unread() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ansible.cfg"), "[defaults]\nforks = 7\n").unwrap();
    let load = |mode| {
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(mode)).unwrap();
        Config::load(&Environment::new(), dir.path()).unwrap()
    };
    let open = load(0o777);
    assert_eq!((open.forks, open.file), (None, None));
    assert!(open.warnings[0].message.contains("anybody may write"));
    assert_eq!(load(0o755).forks, Some(7));
}

#[test]
fn what_is_not_acted_on_is_named_and_nothing_else_is_said() {
    let directory = directories("config")
        .into_iter()
        .find(|d| d.ends_with("in_use"))
        .unwrap();
    let config = Config::load(&environment(&directory), &directory).unwrap();
    let names: Vec<&str> = config.ignored.iter().map(|(name, _)| name.as_str()).collect();
    let want = [
        "[defaults] stdout_callback",
        "[defaults] bin_ansible_callbacks",
        "[defaults] fact_caching",
        "[defaults] library",
        "[defaults] action_plugins",
        "[inventory] enable_plugins",
        "[ssh_connection] pipelining",
    ];
    assert_eq!(names, want);
    assert_eq!(config.warnings, []);
}

#[test]
fn hosts_and_groups_made_in_a_run() {
    let mut inventory = Inventory::load(&["a,b".to_string()], Path::new("/nowhere"))
        .unwrap()
        .inventory;
    let vars: Map = std::iter::once(("x".into(), Value::Int(1))).collect();
    assert!(inventory.add_host("c", &["new", "all"], &vars).unwrap());
    assert!(!inventory.add_host("c", &["new"], &vars).unwrap());
    assert!(inventory.add_group("web_debian", &["os"], "a").unwrap());
    assert!(!inventory.add_group("web_debian", &["os"], "a").unwrap());
    let groups = |host| {
        inventory
            .group_names(host)
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (groups("a"), groups("c")),
        (vec!["os".into(), "web_debian".into()], vec!["new".to_string()])
    );
    assert_eq!(groups("b"), ["ungrouped"]);
    assert_eq!(inventory.vars("c", None).unwrap().get("x"), Some(&Value::Int(1)));
    assert_eq!(inventory.select("os:new", None).unwrap().0.len(), 2);
}

#[test]
fn the_repositorys_own_inventory() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Loaded { inventory, warnings } = Inventory::load(&["inventory/hosts.yml".to_string()], root).unwrap();
    assert_eq!(warnings, []);
    let user = |host| inventory.vars(host, None).unwrap()["ansible_user"].clone();
    assert_eq!(user("masternode"), Value::from("root"));
    assert_eq!(user("storagenodet3500"), Value::from("root"));
    assert_eq!(user("homelab"), Value::from("admin"));
    let groups = inventory.groups();
    for group in ["monitoring_nodes", "storage_nodes", "compute_nodes"] {
        assert_eq!(groups[group].len(), 1, "{group}");
    }
}
