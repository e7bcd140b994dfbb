#!/usr/bin/env python3
"""Records what ansible-core 2.18 makes of the templates in the case files beside this script.

Run by hand, with the Python of an environment that has ansible-core 2.18:

    python tests/template/record.py [file.json ...]

A case is an object with `text` (a template), `when` (a condition) or `file` (a template file's text). This
script adds what came out: `gives`, or `fails` with the kind of failure. A number that is the whole result
stays a number, as in ansible-core 2.19; 2.18 itself would give text there. A case with `because` differs from
Ansible on purpose, says why, and is left alone. In `vars`, {"__unsafe__": text} is text that is never a
template, as from a host.
"""

import json
import os
import pathlib
import sys

os.environ.setdefault("ANSIBLE_JINJA2_NATIVE_WARNING", "False")
os.environ["RECORD_HOME"] = "/home/someone"

from ansible.errors import AnsibleError, AnsibleUndefinedVariable
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.conditional import Conditional
from ansible.plugins.loader import init_plugin_loader
from ansible.template import AnsibleNativeEnvironment, Templar
from ansible.utils.unsafe_proxy import AnsibleUnsafeText

init_plugin_loader([])


def variables(value):
    if isinstance(value, dict) and set(value) == {"__unsafe__"}:
        return AnsibleUnsafeText(value["__unsafe__"])
    if isinstance(value, dict):
        return {k: variables(v) for k, v in value.items()}
    if isinstance(value, list):
        return [variables(v) for v in value]
    return value


def templar(values, native):
    made = Templar(loader=DataLoader(), variables=values)
    if not native:
        return made
    fresh = made.copy_with_new_env(environment_class=AnsibleNativeEnvironment)
    fresh.environment.globals.update(made.environment.globals)
    return fresh


def plain(value):
    return json.loads(json.dumps(value, default=lambda v: list(v) if hasattr(v, "__iter__") else str(v)))


class Condition(Conditional):
    def __init__(self):
        self._loader = None
        self.when = []


def attempt(run):
    try:
        return {"gives": plain(run())}
    except AnsibleUndefinedVariable as error:
        return {"fails": "undefined", "said": str(error)}
    except AnsibleError as error:
        kind = "undefined" if "is undefined" in str(error) or "has no attribute" in str(error) else "failed"
        return {"fails": kind, "said": str(error)}
    except Exception as error:
        return {"fails": "failed", "said": f"{type(error).__name__}: {error}"}


def whole_number(text, values):
    """The number that the whole template is, or None."""
    inner = text.strip()
    if not (inner.startswith("{{") and inner.endswith("}}")) or inner.count("{{") != 1:
        return None
    kind = attempt(lambda: templar(values, False).template("{{ (" + inner[2:-2] + ") | type_debug }}"))
    if kind.get("gives") not in ("int", "float"):
        return None
    return attempt(lambda: templar(values, True).template(text))


def record(case, values):
    if "when" in case:
        condition = Condition()
        condition.when = case["when"] if isinstance(case["when"], list) else [case["when"]]
        return attempt(lambda: condition.evaluate_conditional(templar(values, False), values))
    if "file" in case:
        return attempt(
            lambda: templar(values, False).template(
                case["file"], escape_backslashes=False, convert_data=False, preserve_trailing_newlines=True
            )
        )
    number = whole_number(case["text"], values)
    if number is not None and "gives" in number:
        return number
    return attempt(lambda: templar(values, False).template(case["text"]))


def main():
    here = pathlib.Path(__file__).parent
    paths = [pathlib.Path(a) for a in sys.argv[1:]] or sorted(here.glob("*.json"))
    for path in paths:
        data = json.loads(path.read_text())
        values = variables(data["vars"])
        for case in data["cases"]:
            if "because" in case:
                continue
            for old in ("gives", "fails", "said"):
                case.pop(old, None)
            case.update(record(case, values))
            case.pop("said", None)
        head = json.dumps(data["vars"], ensure_ascii=False)
        lines = ",\n".join("    " + json.dumps(c, ensure_ascii=False) for c in data["cases"])
        path.write_text('{\n  "vars": ' + head + ',\n  "cases": [\n' + lines + "\n  ]\n}\n")


main()
