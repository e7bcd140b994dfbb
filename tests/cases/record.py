#!/usr/bin/env python3
"""Records what ansible-playbook makes of the cases.

    tests/cases/record.py [--ansible /path/to/bin/ansible-playbook] [--lab NAME] [--kubeconfig PATH] [CASE.yml ...]

Modules for Kubernetes need Python's `kubernetes` where this runs, and kubectl's and helm's directory on PATH.

Each case (a playbook; all of them if none is named) is run twice in one empty directory, `w`, and CASE.json
beside it gets, per run and task, what the task returned. What differs from run to run or from machine to machine
is left out, or is "$ANY" where only its being there matters; the directory is "$W".

Comment lines at the head of a case may hold settings:

    # on: debian         needs a machine of its own: recorded on the lab's masternode, if a lab is named
    # on: rhel           recorded on homelab
    # on: lab            recorded on both
    # on: kubernetes     needs a cluster, which the case knows as `kubeconfig`: recorded from here, if one is named
    # again: changed     the second run is expected to change something
    # ours: why          we differ on purpose: not recorded; the case says itself, by `assert`, what must hold
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent

CALLBACK = '''
import json, os
from ansible.plugins.callback import CallbackBase

class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "recorder"

    def note(self, result, **more):
        with open(os.environ["RECORD_TO"], "a") as out:
            values = json.loads(self._dump_results(result._result, indent=0, keep_invocation=False))
            values["diff"] = result._result.get("diff")
            name, action = result._task.get_name().strip(), result._task.resolved_action.split(".")[-1]
            out.write(json.dumps({"name": name, "action": action, "values": values, **more}) + "\\n")

    def v2_runner_on_ok(self, result, **_):
        self.note(result, failed=False)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.note(result, failed=True)

    def v2_runner_on_skipped(self, result):
        self.note(result, failed=False, skipped=True)

    def v2_runner_on_unreachable(self, result):
        self.note(result, failed=True, unreachable=True)
'''

# Different from machine to machine, or said in words.
LEFT_OUT = {
    "diff", "invocation", "exception", "warnings", "deprecations", "ansible_facts", "attr_flags", "attributes",
    "version", "blocks", "block_size", "changed", "failed", "skipped", "module_stderr", "module_stdout",
    "secontext", "dev", "charset", "mimetype", "exception", "traceback", "item_label",
}
# What is kept of a failure: the rest is what a module happens to know at that point.
OF_A_FAILURE = {"msg", "rc", "exit_status", "stdout", "stderr", "results"}
# Different each time.
ANY = {
    "atime", "mtime", "ctime", "inode", "start", "end", "delta", "backup_file", "backup",
}


# What package managers say while they work.
TALK = {"stdout", "stderr", "stdout_lines", "stderr_lines", "cache_update_time"}
# Of the hundreds of properties that systemd has for a unit.
OF_A_UNIT = {
    "ActiveState", "Description", "FragmentPath", "Id", "LoadState", "NeedDaemonReload", "SubState", "UnitFileState",
}


# Of an object of a cluster: what is another each time, or said by controllers, or the program's own way.
OF_THE_SERVER = {
    "uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "annotations", "ownerReferences",
}


def of_a_cluster(value):
    """Objects as everybody would describe them."""
    if isinstance(value, list):
        return [of_a_cluster(v) for v in value]
    # What every pod is given, under a name that nobody can foresee.
    if isinstance(value, str) and value.startswith("kube-api-access-"):
        return "kube-api-access-$ANY"
    if not isinstance(value, dict):
        return value
    # What is going takes its time; we say only that it goes.
    if "deletionTimestamp" in (value.get("metadata") or {}):
        return "$ANY"
    value = {k: of_a_cluster(v) for k, v in value.items()}
    # Where the scheduler put a pod.
    if "nodeName" in value:
        value["nodeName"] = "$ANY"
    if "apiVersion" in value and isinstance(value.get("status"), dict):
        del value["status"]
    for part in ("metadata", "details"):
        if isinstance(value.get(part), dict):
            value[part] = {k: v for k, v in value[part].items() if k not in OF_THE_SERVER}
            if "generateName" in value[part]:
                value[part]["name"] = "$ANY"
    # In seconds; a release has the time of its last change; a call has a program's own words.
    for name in ("duration", "updated", "command", "stdout", "stdout_lines", "stderr", "stderr_lines"):
        if name in value:
            value[name] = "$ANY"
    value.pop("error", None)
    return value


def temporary(value):
    """Whether it names a file of Ansible's own."""
    return isinstance(value, str) and ("/.ansible/tmp/" in value or "/ansible-local-" in value)


def normal(value, w, key=None, parent=None):
    if isinstance(value, dict):
        if key == "status" and "LoadState" in value:
            value = {k: v for k, v in value.items() if k in OF_A_UNIT}
        return {
            k.replace(w, "$W"): normal(v, w, k, value)
            for k, v in value.items()
            if k not in LEFT_OUT and not k.startswith("_ansible") and not temporary(v)
        }
    if isinstance(value, list):
        items = [normal(v, w) for v in value]
        # The order of a directory is the file system's; what dnf did first, its own affair.
        if key == "files":
            return sorted(items, key=lambda f: f["path"])
        if key == "results" and all(isinstance(v, str) for v in items):
            return sorted(items)
        return items
    if key in ANY and value != "":
        return "$ANY"
    # How large a directory is, is up to the file system; how long a link is, up to where the directory is.
    if key == "size" and parent and (
        parent.get("isdir") or parent.get("islnk") or parent.get("state") in ("directory", "link")
    ):
        return "$ANY"
    if key == "nlink" and parent and parent.get("isdir"):
        return "$ANY"
    if isinstance(value, str):
        # Paths of the machine that recorded.
        value = value.split("\n\nOriginal traceback:")[0]
        if re.search(r"/ansible\.[a-z0-9_]{8}(\.|$)", value):
            return "$ANY"
        return value.replace(w, "$W").replace(str(HERE), "$CASES")
    return value


def diff_of(line, w):
    """The texts before and after; what else it may hold is for people."""
    diffs = line["values"].get("diff") or []
    diffs = diffs if isinstance(diffs, list) else [diffs]
    texts = [{k: d.get(k) for k in ("before", "after")} for d in diffs]
    texts = [t for t in texts if all(isinstance(v, str) for v in t.values()) and t["before"] != t["after"]]
    return normal(texts, w)


def values_of(line, w):
    values = normal(line["values"], w)
    if line["action"].startswith(("k8s", "helm")):
        values = of_a_cluster(values)
    if line["failed"]:
        return {k: v for k, v in values.items() if k in OF_A_FAILURE}
    if line["action"] in ("apt", "dnf", "package"):
        return {k: "$ANY" if k in TALK else v for k, v in values.items()}
    return values


def run(ansible, case, w, plugins, where):
    with tempfile.TemporaryDirectory() as home:
        to = pathlib.Path(home) / "results"
        to.touch()
        # No configuration but ours.
        (pathlib.Path(home) / "ansible.cfg").touch()
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/root"),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_CONFIG": home + "/ansible.cfg",
            "ANSIBLE_CALLBACK_PLUGINS": plugins,
            "ANSIBLE_STDOUT_CALLBACK": "recorder",
            "ANSIBLE_LOCAL_TEMP": home + "/local",
            "ANSIBLE_REMOTE_TEMP": where.temporary(home),
            "ANSIBLE_NOCOLOR": "1",
            # The hosts of every lab have the same addresses: not over another lab's connection.
            "ANSIBLE_SSH_CONTROL_PATH_DIR": home,
            "RECORD_TO": str(to),
        }
        command = where.inside + [ansible, *where.words, "-e", json.dumps({"w": w}), str(case)]
        os.umask(0o022)
        done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True)
        if done.returncode not in (0, 2):
            sys.exit(f"{case}: ansible-playbook ended with {done.returncode}\n{done.stdout}{done.stderr}")
        lines = [json.loads(line) for line in to.read_text().splitlines()]
    return {
        "rc": done.returncode,
        "tasks": [
            {
                "name": line["name"],
                "changed": bool(line["values"].get("changed")),
                "failed": line["failed"],
                "skipped": bool(line.get("skipped")),
                **({"diff": diff} if (diff := diff_of(line, w)) else {}),
                "values": values_of(line, w),
            }
            for line in lines
        ],
    }


class Here:
    """This machine."""

    inside = []
    words = ["-i", "localhost,", "-c", "local", "-e", "ansible_python_interpreter=" + sys.executable]

    def temporary(self, home):
        return home + "/.ansible/tmp"

    @contextlib.contextmanager
    def directory(self):
        with tempfile.TemporaryDirectory(prefix="case.") as w:
            yield w


class FromHere(Here):
    """This machine, for a cluster."""

    def __init__(self, kubeconfig):
        self.words = [*Here.words, "-e", json.dumps({"kubeconfig": kubeconfig})]


class OnTheLab:
    """A host of a lab that is up."""

    def __init__(self, lab, host):
        self.lab, self.host = lab, host
        self.inside = ["nsenter", f"--net=/run/netns/vmstation-{lab}"]
        self.words = ["-i", f"/run/vmstation/{lab}/inventory.yml", "--limit", host]

    def temporary(self, _):
        return "~/.ansible/tmp"

    def shell(self, command):
        program = HERE.parent.parent / "target/debug/vmstation"
        words = [str(program), "lab", "--name", self.lab, "ssh", self.host, "--", command]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)

    @contextlib.contextmanager
    def directory(self):
        w = "/var/tmp/case-recorded"
        sudo = "sudo " if self.host == "homelab" else ""
        self.shell(f"{sudo}rm -rf {w} && {sudo}mkdir {w}")
        yield w
        self.shell(f"{sudo}rm -rf {w} && rm -rf .ansible")


HOSTS = {"debian": ["masternode"], "rhel": ["homelab"], "lab": ["masternode", "homelab"]}


def record(ansible, case, plugins, where):
    with where.directory() as w:
        runs = [run(ansible, case.resolve(), w, plugins, where) for _ in range(2)]
    expected = settings(case).get("again") == "changed"
    if any(t["changed"] for t in runs[1]["tasks"]) != expected:
        names = [t["name"] for t in runs[1]["tasks"] if t["changed"]]
        print(f"{case}: second run changed {names}, `again: changed` is {expected}", file=sys.stderr)
    return runs


def settings(case):
    found = {}
    for line in case.read_text().splitlines():
        if not line.startswith("#"):
            break
        name, colon, value = line.lstrip("# ").partition(":")
        if colon:
            found[name.strip()] = value.strip()
    return found


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--ansible", default=os.environ.get("ANSIBLE_PLAYBOOK", "ansible-playbook"))
    options.add_argument("--lab", help="a lab that is up, for the cases that need one")
    options.add_argument("--kubeconfig", help="of a cluster, for the cases that need one")
    options.add_argument("cases", nargs="*", type=pathlib.Path)
    options = options.parse_args()
    cases = options.cases or sorted(HERE.glob("*/*.yml"))
    with tempfile.TemporaryDirectory() as plugins:
        (pathlib.Path(plugins) / "recorder.py").write_text(CALLBACK)
        for case in cases:
            on = settings(case).get("on", "local")
            missing = {"local": False, "kubernetes": not options.kubeconfig}.get(on, not options.lab)
            if "ours" in settings(case) or missing:
                continue
            if on in ("local", "kubernetes"):
                where = Here() if on == "local" else FromHere(options.kubeconfig)
                recorded = {"runs": record(options.ansible, case, plugins, where)}
            else:
                places = [OnTheLab(options.lab, host) for host in HOSTS[on]]
                recorded = {"hosts": {p.host: record(options.ansible, case, plugins, p) for p in places}}
            text = json.dumps(recorded, indent=1, ensure_ascii=False, sort_keys=True)
            case.with_suffix(".json").write_text(text + "\n")
            print(case)


if __name__ == "__main__":
    main()
