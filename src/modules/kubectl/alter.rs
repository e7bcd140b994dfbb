//! The other verbs that change something: `delete`, `patch`, `scale`, `rollout_restart`, `run`, `exec`.

use serde_json::json;

use super::mark::{named, replace};
use super::{PatchType, Work, objects, one};
use crate::host::{Change, Halt, Outcome, fail};
use crate::modules::kubernetes::client::FIELD_MANAGER;
use crate::modules::kubernetes::container::{self, Pod};
use crate::modules::kubernetes::{Call, Id, Json, contained, difference, words};
use crate::modules::process::text;

/// By which a new template of pods differs from the one before it.
const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";

impl Work<'_> {
    pub(super) async fn delete(&self) -> Result<Outcome, Halt> {
        let found = self.look(true).await?;
        if found.is_empty() {
            return Ok(objects(found));
        }
        let all: Vec<usize> = (0..found.len()).collect();
        let mut change = Change::new(format!("delete {}", named(&found, &all)));
        for object in &found {
            let (before, after) = difference::texts(Some(object), None);
            change = change.difference(Id::of(object).to_string(), before, after);
        }
        let stubs: Vec<Json> = found.iter().map(|object| Id::of(object).stub()).collect();
        let mut call = Call::new(["delete", "-f", "-", "--ignore-not-found"])
            .word(format!("--timeout={}s", self.of.timeout))
            .objects(&stubs);
        if let Some(seconds) = self.of.grace_period {
            call = call.word(format!("--grace-period={seconds}"));
        }
        if self.of.force {
            call = call.word("--force");
        }
        let said = one(self.change_one(change, call).await?)?;
        if !said.ok() {
            return Err(words::refused("delete", &said));
        }
        Ok(objects(Vec::new()))
    }

    pub(super) async fn patch(&self) -> Result<Outcome, Halt> {
        let patch = self.of.patch.as_ref().map(serde_json::to_value);
        let patch = match patch {
            Some(Ok(Json::String(text))) => {
                serde_json::from_str(&text).map_err(|error| fail(format!("`patch` is no JSON: {error}")))?
            }
            Some(Ok(patch)) => patch,
            _ => {
                return Err(fail(
                    "`patch` is a mapping, or a list of operations with `type: json`",
                ));
            }
        };
        let mut found = self.look(false).await?;
        let open: Vec<usize> = (0..found.len())
            .filter(|i| self.may_differ(&found[*i], &patch))
            .collect();
        if open.is_empty() {
            return Ok(objects(found));
        }
        let call = |object: &Json| self.patch_call(object, &patch);
        let stubs: Vec<Json> = open.iter().map(|i| Id::of(&found[*i]).stub()).collect();
        let mut dry = vec![Call::new(["get", "-f", "-", "-o", "json"]).objects(&stubs)];
        dry.extend(open.iter().map(|i| call(&found[*i]).word("--dry-run=server")));
        let foreseen = self
            .client
            .ask_now(self.host, "kubectl --dry-run=server", &dry)
            .await?;
        let Some((now, foreseen)) = foreseen.split_first() else {
            return Err(fail("kubectl was not called"));
        };
        // What controllers have done since the first look is no difference.
        replace(&mut found, now.objects());
        let mut differing = Vec::new();
        let mut differences = Vec::new();
        for (index, said) in open.into_iter().zip(foreseen) {
            if !said.ok() {
                return Err(words::refused(&format!("patch {}", Id::of(&found[index])), said));
            }
            let Some(after) = said.objects().into_iter().next() else {
                continue;
            };
            if !difference::is_same(&found[index], &after, patch.get("status").is_some()) {
                differing.push(index);
                differences.push((index, after));
            }
        }
        if differing.is_empty() {
            return Ok(objects(found));
        }
        let mut change = Change::new(format!("patch {}", named(&found, &differing)));
        for (index, after) in &differences {
            let (before, after) = difference::texts(Some(&found[*index]), Some(after));
            change = change.difference(Id::of(&found[*index]).to_string(), before, after);
        }
        let calls: Vec<Call> = differing.iter().map(|i| call(&found[*i])).collect();
        for said in self.client.change(self.host, change, &calls).await? {
            if !said.ok() {
                return Err(words::refused("patch", &said));
            }
            replace(&mut found, said.objects());
        }
        Ok(objects(found))
    }

    fn patch_type(&self, object: &Json) -> PatchType {
        let usual = if Id::of(object).is_built_in() {
            PatchType::Strategic
        } else {
            PatchType::Merge
        };
        self.of.kind_of_patch.unwrap_or(usual)
    }

    /// Whether the server has to be asked.
    fn may_differ(&self, object: &Json, patch: &Json) -> bool {
        match self.patch_type(object) {
            PatchType::Json => true,
            kind => !contained::holds(object, patch, kind == PatchType::Strategic),
        }
    }

    fn patch_call(&self, object: &Json, patch: &Json) -> Call {
        let kind = match self.patch_type(object) {
            PatchType::Strategic => "strategic",
            PatchType::Merge => "merge",
            PatchType::Json => "json",
        };
        let id = Id::of(object);
        Call::new(["patch", &id.resource(), &id.name, "-o", "json", "--type", kind])
            .namespace(id.namespace.as_deref())
            .words(["--patch-file", "/dev/stdin"].map(String::from))
            .word(format!("--field-manager={FIELD_MANAGER}"))
            .input(patch.to_string())
    }

    pub(super) async fn scale(&self) -> Result<Outcome, Halt> {
        let wanted = self.of.replicas.unwrap_or_default();
        let mut found = self.look(false).await?;
        let differing: Vec<usize> = (0..found.len())
            .filter(|i| found[*i]["spec"]["replicas"].as_u64() != Some(wanted))
            .collect();
        if differing.is_empty() {
            return Ok(objects(found));
        }
        let mut change = Change::new(format!("scale {} to {wanted}", named(&found, &differing)));
        for index in &differing {
            let before = &found[*index];
            change = change.difference(
                Id::of(before).to_string(),
                format!("replicas: {}\n", before["spec"]["replicas"]),
                format!("replicas: {wanted}\n"),
            );
        }
        let stubs: Vec<Json> = differing.iter().map(|i| Id::of(&found[*i]).stub()).collect();
        let calls = [
            Call::new(["scale", "-f", "-", "-o", "name", &format!("--replicas={wanted}")]).objects(&stubs),
            Call::new(["get", "-f", "-", "-o", "json", "--ignore-not-found"]).objects(&stubs),
        ];
        let asked = [calls[0].dry()];
        let said = self.client.change_or_ask(self.host, change, &calls, &asked);
        for said in said.await? {
            if !said.ok() {
                return Err(words::refused("scale", &said));
            }
            // The first call prints names only.
            replace(&mut found, said.objects());
        }
        Ok(objects(found))
    }

    pub(super) async fn restart(&self) -> Result<Outcome, Halt> {
        let change = Change::new(format!("restart {}", self.of.resources().join(", ")));
        let calls = self.each_alone(&["rollout", "restart"]).await?;
        // kubectl has no dry run for it, and does but this.
        let patch = json!({"spec": {"template": {"metadata": {"annotations": {RESTARTED: "now"}}}}});
        let asked = self
            .each_alone(&["patch", "--dry-run=server", "-o", "name"])
            .await?;
        let asked: Vec<Call> = asked
            .into_iter()
            .map(|call| call.word("-p").word(patch.to_string()))
            .collect();
        let mut stdout = String::new();
        let said = self.client.change_or_ask(self.host, change, &calls, &asked);
        for said in said.await? {
            if !said.ok() {
                return Err(words::refused("restart", &said));
            }
            stdout.push_str(&said.stdout);
        }
        Ok(Outcome::new().with("stdout", stdout))
    }

    /// `run`.
    pub(super) async fn create_pod(&self) -> Result<Outcome, Halt> {
        let of = self.of;
        let name = of.pod()?;
        let found = self.look(true).await?;
        if !found.is_empty() {
            return Ok(objects(found));
        }
        let image = of.image.as_deref().unwrap_or_default();
        let mut container = json!({"name": of.container.as_deref().unwrap_or(name), "image": image});
        let command = of.command()?;
        if !command.is_empty() {
            container["command"] = command.into();
        }
        let mut pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"run": name}},
            "spec": {"containers": [container], "restartPolicy": "Never"},
        });
        if let Some(namespace) = &of.namespace {
            pod["metadata"]["namespace"] = namespace.as_str().into();
        }
        for (key, value) in of.labels.iter().flatten() {
            pod["metadata"]["labels"][key] = serde_json::to_value(value).unwrap_or_default();
        }
        let (before, after) = difference::texts(None, Some(&pod));
        let change = Change::new(format!("run {name}")).difference(format!("Pod {name}"), before, after);
        let call = Call::new(["create", "-f", "-", "-o", "json", "--validate=ignore"])
            .word(format!("--field-manager={FIELD_MANAGER}"))
            .objects([&pod]);
        let said = one(self.change_one(change, call).await?)?;
        if !said.ok() {
            return Err(words::refused("run", &said));
        }
        Ok(objects(said.objects()))
    }

    pub(super) async fn exec(&self) -> Result<Outcome, Halt> {
        let of = self.of;
        // kubectl takes any type that has pods; the name alone is a pod's.
        let resource = of.resources().first().map_or("", String::as_str);
        let place = Pod {
            name: resource,
            namespace: of.namespace.as_deref(),
            container: of.container.as_deref(),
        };
        let executed = container::exec(self.host, &self.client, &place, of.command()?).await?;
        let mut outcome = Outcome::new()
            .with("stdout_lines", text::lines(&executed.stdout))
            .with("stderr_lines", text::lines(&executed.stderr))
            .with("stdout", executed.stdout)
            .with("stderr", executed.stderr)
            .with("rc", executed.rc);
        if executed.rc != 0 {
            outcome.failed = true;
            outcome = outcome.with("msg", "non-zero return code");
        }
        Ok(outcome)
    }
}
