//! A lab with Kubernetes: a real API server, three nodes, and pods that do as they are told.
//!
//! Needs root, the lab's tools and `go`, and its first run builds Kubernetes: so it runs when it is asked for,
//! `cargo test --test kubernetes -- --ignored`. A lab of its own name: one that is up for other purposes is not touched.

#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use std::fs;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

const NAME: &str = "kubetest";

const DEPLOYMENT: &str = r#"{
    "apiVersion": "apps/v1", "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "registry.example/web:1"}]}
        }
    }
}"#;

fn lab(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vmstation"))
        .args(["lab", "--name", NAME])
        .args(words)
        .output()
        .unwrap()
}

fn ok(words: &[&str]) -> String {
    succeeded(&format!("lab {words:?}"), &lab(words))
}

fn succeeded(what: &str, output: &Output) -> String {
    assert!(
        output.status.success(),
        "{what}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// This machine's kubectl, with the kubeconfig that the inventory names, in the lab's network.
fn kubectl_fed(input: &str, words: &[&str]) -> Output {
    let mut child = Command::new("nsenter")
        .arg(format!("--net=/run/netns/vmstation-{NAME}"))
        .arg(format!("/run/vmstation/{NAME}/bin/kubectl"))
        .arg(format!("--kubeconfig=/run/vmstation/{NAME}/kubeconfig"))
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that fails before it has read all is judged by what it says.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn kubectl(words: &[&str]) -> String {
    succeeded(&format!("kubectl {words:?}"), &kubectl_fed("", words))
}

fn apply(input: &str, words: &[&str]) -> String {
    let mut all = vec!["apply", "-f", "-"];
    all.extend(words);
    succeeded("kubectl apply", &kubectl_fed(input, &all))
}

/// Processes, mounts, namespaces and files of the lab.
fn left() -> Vec<String> {
    let mut found = Vec::new();
    let state = format!("/run/vmstation/{NAME}");
    let namespace = format!("vmstation-{NAME}");
    let group = format!("/{namespace}/");
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let read = |file: &str| fs::read_to_string(process.path().join(file)).unwrap_or_default();
        let words = read("cmdline").replace('\0', " ");
        // One that has ended, and that nobody has asked about yet, has no words.
        let ours = read("cgroup").contains(&group) || words.contains(&format!("{state}/"));
        if ours && !words.is_empty() {
            found.push(words);
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    found.extend(
        mounts
            .lines()
            .filter(|line| line.contains(&state))
            .map(str::to_owned),
    );
    for path in [&state, &format!("/run/netns/{namespace}")] {
        if fs::exists(path).unwrap() {
            found.push(path.clone());
        }
    }
    found
}

/// Ends the lab also when the test fails.
struct Down;

impl Drop for Down {
    fn drop(&mut self) {
        lab(&["down"]);
    }
}

#[test]
#[ignore = "root and go: cargo test --test kubernetes -- --ignored; the first time a quarter of an hour"]
fn a_cluster_comes_up_behaves_is_fresh_again_and_leaves_nothing() {
    let _down = Down;
    ok(&["down"]);
    ok(&["up", "--kubernetes"]);
    let status = ok(&["status"]);
    assert!(
        status
            .lines()
            .any(|line| line.starts_with("kubernetes ") && line.ends_with(" up")),
        "{status}"
    );
    hosts_reach_the_api();
    nodes_are_ready();
    a_deployment_rolls_out();
    a_pod_does_as_it_is_told();
    a_node_does_as_it_is_told();
    a_job_ends();
    a_conflict_names_the_other_manager();
    a_manifest_comes_from_a_url();
    what_a_secret_holds_is_nowhere();
    an_apply_survives_a_server_that_goes_away("systemctl stop kube-apiserver", "connection re");
    an_apply_survives_a_server_that_goes_away(
        "systemctl kill -s STOP kube-apiserver",
        "it has stopped answering",
    );
    a_wait_outlasts_a_server_that_comes_back();
    a_wait_in_vain_names_the_server();
    an_api_that_is_gone_is_noticed();
    a_cluster_is_ended_and_made_again();

    ok(&["reset"]);
    assert_eq!(kubectl(&["get", "deployments,pods", "-A", "-o", "name"]), "");
    nodes_are_ready();
    ok(&["down"]);
    assert_eq!(left(), Vec::<String>::new());
}

fn hosts_reach_the_api() {
    let on_master = ok(&[
        "ssh",
        "masternode",
        "kubectl --kubeconfig=/etc/kubernetes/admin.conf version | sed -n 's/^Server Version: //p'",
    ]);
    assert_eq!(on_master, "v1.29.15");
    assert!(ok(&["ssh", "masternode", "helm version --short"]).starts_with("v3."));
    assert_eq!(kubectl(&["get", "--raw", "/readyz"]), "ok");
    let inventory = ok(&["inventory"]);
    assert!(
        inventory.contains(&format!("lab_kubeconfig: /run/vmstation/{NAME}/kubeconfig")),
        "{inventory}"
    );
}

fn nodes_are_ready() {
    let ready = r#"jsonpath={range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status} {.spec.podCIDR}{"\n"}{end}"#;
    let nodes = kubectl(&["get", "nodes", "-o", ready]);
    let mut ranges = Vec::new();
    for (line, name) in nodes.lines().zip(["homelab", "masternode", "storagenodet3500"]) {
        let range = line.strip_prefix(&format!("{name} True 10.244."));
        ranges.push(range.unwrap_or_else(|| panic!("{nodes}")));
    }
    ranges.sort_unstable();
    assert_eq!(ranges, ["0.0/24", "1.0/24", "2.0/24"]);
    let taint = "jsonpath={.spec.taints[*].key}";
    assert_eq!(
        kubectl(&["get", "node", "masternode", "-o", taint]),
        "node-role.kubernetes.io/control-plane"
    );
}

fn a_deployment_rolls_out() {
    apply(DEPLOYMENT, &[]);
    let rolled = kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    assert!(rolled.contains("successfully rolled out"), "{rolled}");
    let available = "jsonpath={.status.availableReplicas}";
    assert_eq!(kubectl(&["get", "deployment", "web", "-o", available]), "2");
    let nodes = kubectl(&["get", "pods", "-o", "jsonpath={.items[*].spec.nodeName}"]);
    assert!(!nodes.contains("masternode"), "{nodes}");

    kubectl(&["set", "image", "deployment/web", "web=registry.example/web:2"]);
    kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    kubectl(&[
        "wait",
        "pods",
        "-l",
        "app=web",
        "--for=condition=Ready",
        "--timeout=60s",
    ]);
    let images = "jsonpath={.items[*].spec.containers[*].image}";
    assert!(kubectl(&["get", "pods", "-o", images]).contains("web:2"));
}

fn a_pod_does_as_it_is_told() {
    let first = "jsonpath={.items[0].metadata.name}";
    let pod = kubectl(&["get", "pods", "-l", "app=web", "-o", first]);
    kubectl(&["annotate", "pod", &pod, "vmstation.lab/pod=CrashLoopBackOff"]);
    kubectl(&[
        "wait",
        "pod",
        &pod,
        "--for=condition=Ready=false",
        "--timeout=30s",
    ]);
    let reason = "jsonpath={.status.containerStatuses[0].state.waiting.reason}";
    assert_eq!(kubectl(&["get", "pod", &pod, "-o", reason]), "CrashLoopBackOff");
    kubectl(&[
        "wait",
        "deployment/web",
        "--for=jsonpath={.status.availableReplicas}=1",
        "--timeout=30s",
    ]);
    kubectl(&["annotate", "pod", &pod, "vmstation.lab/pod-"]);
    kubectl(&["wait", "pod", &pod, "--for=condition=Ready", "--timeout=30s"]);
    let said = kubectl(&["logs", &pod]);
    assert!(said.contains("nothing runs in here"), "{said}");
    assert_eq!(kubectl(&["exec", &pod, "--", "hostname"]), "masternode");
}

fn a_node_does_as_it_is_told() {
    kubectl(&["annotate", "node", "homelab", "vmstation.lab/node=NotReady"]);
    kubectl(&[
        "wait",
        "node/homelab",
        "--for=condition=Ready=false",
        "--timeout=30s",
    ]);
    kubectl(&["annotate", "node", "homelab", "vmstation.lab/node-"]);
    kubectl(&["wait", "node/homelab", "--for=condition=Ready", "--timeout=30s"]);
}

/// As a stand-in for kubeadm would: the kubeconfigs that are about stay good.
fn a_cluster_is_ended_and_made_again() {
    ok(&["ssh", "masternode", "control-plane reset"]);
    assert_eq!(ok(&["ssh", "masternode", "ls -A /etc/kubernetes"]), "manifests");
    assert!(!kubectl_fed("", &["get", "nodes"]).status.success());
    ok(&["ssh", "masternode", "control-plane init"]);
    assert_eq!(kubectl(&["get", "nodes", "-o", "name"]), "");
    let join = "for node in masternode storagenodet3500 homelab; do control-plane node $node; done; \
                control-plane wait masternode storagenodet3500 homelab";
    ok(&["ssh", "masternode", join]);
    nodes_are_ready();
}

fn a_job_ends() {
    kubectl(&["create", "job", "once", "--image=registry.example/once:1"]);
    kubectl(&["wait", "job/once", "--for=condition=Complete", "--timeout=60s"]);
}

fn a_conflict_names_the_other_manager() {
    let ours = DEPLOYMENT.replace("\"replicas\": 2", "\"replicas\": 3");
    let refused = kubectl_fed(
        &ours,
        &[
            "apply",
            "-f",
            "-",
            "--server-side",
            "--field-manager=somebody",
            "-v=8",
        ],
    );
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success(), "{said}");
    assert!(said.contains("409 Conflict"), "{said}");
    assert!(
        said.contains("conflict with \\\"kubectl-client-side-apply\\\""),
        "{said}"
    );
}

/// This repository's program, with a play on masternode; its working directory holds the record of the run.
fn run(tasks: &str, options: &[&str]) -> (Output, tempfile::TempDir) {
    let home = tempfile::tempdir().unwrap();
    let play = format!(
        "- hosts: masternode\n  gather_facts: false\n  environment: {{K8S_AUTH_KUBECONFIG: /etc/kubernetes/admin.conf}}\n\
         \x20 tasks:\n{tasks}"
    );
    fs::write(home.path().join("play.yml"), play).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_vmstation"))
        .args(["run", &format!("--lab={NAME}"), "play.yml"])
        .args(options)
        .current_dir(home.path())
        .output()
        .unwrap();
    (output, home)
}

fn printed(output: &Output) -> String {
    let (stdout, stderr) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(stdout),
        String::from_utf8_lossy(stderr)
    )
}

/// From a server in the lab's network, which this machine asks.
fn a_manifest_comes_from_a_url() {
    let serve = "mkdir -p /srv/web && printf '%s' '{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": \
                 {\"name\": \"fetched\", \"namespace\": \"default\"}}' >/srv/web/one.yml && \
                 systemd-run -q --unit web python3 -m http.server -d /srv/web 8099 && \
                 for i in $(seq 100); do (: </dev/tcp/192.0.2.11/8099) 2>/dev/null && exit; sleep 0.1; done; exit 1";
    ok(&["ssh", "masternode", serve]);
    let task = "  - kubernetes.core.k8s: {src: \"http://192.0.2.11:8099/one.yml\"}\n";
    let (output, _home) = run(task, &[]);
    assert!(output.status.success(), "{}", printed(&output));
    ok(&["ssh", "masternode", "systemctl stop web"]);
    assert_eq!(
        kubectl(&["get", "configmap", "fetched", "-o", "name"]),
        "configmap/fetched"
    );
}

const SECRET: &str = "  - kubernetes.core.k8s:
      apply: true
      definition:
        apiVersion: v1
        kind: Secret
        metadata: {name: hidden, namespace: default}
        stringData: {password: \"{{ word }}\"}
  - kubernetes.core.k8s_info: {kind: Secret, name: hidden, namespace: default}
    register: found
  - assert: {that: found.resources | length == (0 if ansible_check_mode else 1)}
";

/// Not in what is shown, not in JSON events, not in the record of the run: by a dry run, a creation and a change.
fn what_a_secret_holds_is_nowhere() {
    let texts = [
        "first-of-all",
        "Zmlyc3Qtb2YtYWxs",
        "another-word",
        "YW5vdGhlci13b3Jk",
    ];
    for (word, options) in [
        ("first-of-all", &["--check", "--diff"][..]),
        ("first-of-all", &["--diff"]),
        ("another-word", &["--diff", "--json"]),
        ("another-word", &["--json"]),
    ] {
        let word = format!("word={word}");
        let (output, home) = run(SECRET, &[&["-e", &word], options].concat());
        let said = printed(&output);
        assert!(output.status.success(), "{said}");
        let kept = Command::new("grep")
            .args([
                "-rl", "-e", texts[0], "-e", texts[1], "-e", texts[2], "-e", texts[3],
            ])
            .arg(".vmstation")
            .current_dir(home.path())
            .output()
            .unwrap();
        assert_eq!(printed(&kept), "", "{options:?}");
        for text in texts {
            assert!(!said.contains(text), "{options:?}: {text} in {said}");
        }
        if options.contains(&"--diff") {
            assert!(said.contains("password: (hidden, 12 bytes"), "{said}");
        }
    }
    kubectl(&["delete", "secret", "hidden"]);
}

const MANY: &str = r#"  - name: two hundred
    kubectl: {verb: apply, definition: "{{ many }}"}
    vars:
      many: >-
        [{% for n in range(200) %}{"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "away-{{ n }}", "namespace": "default", "labels": {"case": "away"}},
        "data": {"n": "{{ n }}"}},{% endfor %}]
"#;

/// One that ends in the middle of an apply of many objects, or falls silent: the task fails, says what could not be
/// reached and how far it came, and the next run does the rest.
fn an_apply_survives_a_server_that_goes_away(how: &str, why: &str) {
    // Ends the server when thirty objects are there.
    let watch = format!(
        "kubectl --kubeconfig /etc/kubernetes/admin.conf get configmaps -l case=away --watch -o name | sed 29q; {how}"
    );
    let mut ends = Command::new(env!("CARGO_BIN_EXE_vmstation"))
        .args(["lab", "--name", NAME, "ssh", "masternode", &watch])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_secs(2));
    let (output, _) = run(MANY, &[]);
    let said = printed(&output);
    ends.wait().unwrap();
    ok(&[
        "ssh",
        "masternode",
        "systemctl kill -s CONT kube-apiserver; systemctl start kube-apiserver",
    ]);
    assert_eq!(output.status.code(), Some(3), "{said}");
    let sentence = format!("the API server at 192.0.2.11:6443 cannot be reached: {why}");
    assert_eq!(said.matches("cannot be reached").count(), 1, "{said}");
    assert!(
        said.contains(&sentence) && said.contains("help: is the API server running"),
        "{said}"
    );
    assert!(
        said.contains(" of 200 objects have been changed; the next run does the others"),
        "{said}"
    );

    for _ in 0..60 {
        if kubectl_fed("", &["get", "--raw", "/readyz"]).status.success() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
    let there = kubectl(&["get", "configmaps", "-l", "case=away", "-o", "name"])
        .lines()
        .count();
    assert!((29..200).contains(&there), "{there}");
    for changed in ["1 changed", "nothing changed"] {
        let (output, _) = run(MANY, &[]);
        let said = printed(&output);
        assert!(output.status.success() && said.contains(changed), "{said}");
    }
    let there = kubectl(&["get", "configmaps", "-l", "case=away", "-o", "name"])
        .lines()
        .count();
    assert_eq!(there, 200);
    kubectl(&["delete", "configmaps", "-l", "case=away"]);
}

fn waiting(timeout: u64) -> String {
    format!(
        "  - kubernetes.core.k8s_info: {{kind: ConfigMap, name: comes, namespace: default, wait: true, wait_sleep: 1, \
         wait_timeout: {timeout}}}\n    register: found\n    failed_when: found is failed or not found.resources\n"
    )
}

/// It is away when the wait begins, and back within the time there is, with what is waited for.
fn a_wait_outlasts_a_server_that_comes_back() {
    kubectl(&["create", "configmap", "comes"]);
    ok(&["ssh", "masternode", "systemctl stop kube-apiserver"]);
    let back = Command::new(env!("CARGO_BIN_EXE_vmstation"))
        .args([
            "lab",
            "--name",
            NAME,
            "ssh",
            "masternode",
            "sleep 4; systemctl start kube-apiserver",
        ])
        .spawn();
    let (output, _) = run(&waiting(90), &[]);
    back.unwrap().wait().unwrap();
    assert!(output.status.success(), "{}", printed(&output));
}

/// It falls silent, and the wait ends about when it should.
fn a_wait_in_vain_names_the_server() {
    ok(&["ssh", "masternode", "systemctl kill -s STOP kube-apiserver"]);
    let began = std::time::Instant::now();
    let (output, _) = run(
        &waiting(5).replace("\n    failed_when: found is failed or not found.resources", ""),
        &[],
    );
    let took = began.elapsed().as_secs();
    ok(&["ssh", "masternode", "systemctl kill -s CONT kube-apiserver"]);
    let said = printed(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains(
            "cannot wait any longer than 5 s: the API server at 192.0.2.11:6443 cannot be reached: "
        ),
        "{said}"
    );
    assert!(took < 40, "{took} s");
    kubectl(&["delete", "configmap", "comes"]);
}

/// The API server ends: `status` tells, `up` mends.
fn an_api_that_is_gone_is_noticed() {
    ok(&["ssh", "masternode", "systemctl stop kube-apiserver"]);
    let status = lab(&["status"]);
    assert_eq!(status.status.code(), Some(3));
    assert!(
        String::from_utf8_lossy(&status.stdout)
            .trim_end()
            .ends_with("down")
    );
    ok(&["up", "--kubernetes"]);
    assert_eq!(kubectl(&["get", "--raw", "/readyz"]), "ok");
}
