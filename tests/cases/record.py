#!/usr/bin/env python3
"""Records what ansible-playbook makes of the cases.

    tests/cases/record.py [--ansible /path/to/bin/ansible-playbook] [CASE.yml ...]

Each case (a playbook; all of them if none is named) is run twice in one empty directory, `w`, and CASE.json
beside it gets, per run and task, what the task returned. What differs from run to run or from machine to machine
is left out, or is "$ANY" where only its being there matters; the directory is "$W".

Comment lines at the head of a case may hold settings:

    # on: lab            needs a machine of its own: not recorded here
    # again: changed     the second run is expected to change something
"""

import argparse
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
            out.write(json.dumps({"name": result._task.get_name().strip(), "values": values, **more}) + "\\n")

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


def temporary(value):
    """Whether it names a file of Ansible's own."""
    return isinstance(value, str) and ("/.ansible/tmp/" in value or "/ansible-local-" in value)


def normal(value, w, key=None, parent=None):
    if isinstance(value, dict):
        return {
            k.replace(w, "$W"): normal(v, w, k, value)
            for k, v in value.items()
            if k not in LEFT_OUT and not k.startswith("_ansible") and not temporary(v)
        }
    if isinstance(value, list):
        items = [normal(v, w) for v in value]
        # The order of a directory is the file system's.
        return sorted(items, key=lambda f: f["path"]) if key == "files" else items
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
        if re.search(r"/ansible\.[a-z0-9_]{8}(\.|$)", value):
            return "$ANY"
        return value.replace(w, "$W").replace(str(HERE), "$CASES")
    return value


def values_of(line, w):
    values = normal(line["values"], w)
    if line["failed"]:
        return {k: v for k, v in values.items() if k in OF_A_FAILURE}
    return values


def run(ansible, case, w, plugins):
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
            "ANSIBLE_REMOTE_TEMP": home + "/.ansible/tmp",
            "ANSIBLE_NOCOLOR": "1",
            "RECORD_TO": str(to),
        }
        command = [
            ansible, "-i", "localhost,", "-c", "local", "-e", json.dumps({"w": w}),
            "-e", "ansible_python_interpreter=" + sys.executable, str(case),
        ]
        os.umask(0o022)
        done = subprocess.run(command, env=environment, cwd=w, capture_output=True, text=True)
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
                "values": values_of(line, w),
            }
            for line in lines
        ],
    }


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
    options.add_argument("cases", nargs="*", type=pathlib.Path)
    options = options.parse_args()
    cases = options.cases or sorted(HERE.glob("*/*.yml"))
    with tempfile.TemporaryDirectory() as plugins:
        (pathlib.Path(plugins) / "recorder.py").write_text(CALLBACK)
        for case in cases:
            if settings(case).get("on", "local") != "local":
                continue
            with tempfile.TemporaryDirectory(prefix="case.") as w:
                runs = [run(options.ansible, case.resolve(), w, plugins) for _ in range(2)]
            expected = settings(case).get("again") == "changed"
            if any(t["changed"] for t in runs[1]["tasks"]) != expected:
                names = [t["name"] for t in runs[1]["tasks"] if t["changed"]]
                print(f"{case}: second run changed {names}, `again: changed` is {expected}", file=sys.stderr)
            text = json.dumps({"runs": runs}, indent=1, ensure_ascii=False, sort_keys=True)
            case.with_suffix(".json").write_text(text + "\n")
            print(case)


if __name__ == "__main__":
    main()
