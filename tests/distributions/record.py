#!/usr/bin/env python3
"""Records what Ansible makes of the files in each NAME.json here: {"files": {path: text}, "facts": {…}}.

    sudo unshare -m PYTHON tests/distributions/record.py [NAME…]

PYTHON is one with ansible-core 2.18; the mount namespace is its own because /etc is replaced in it.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
WANTED = ("distribution", "os_family")


def facts():
    from ansible.module_utils.facts.system.distribution import DistributionFactCollector

    class Module:
        def get_bin_path(self, *_args, **_more):
            return None

        def debug(self, _text):
            pass

    found = DistributionFactCollector().collect(module=Module())
    return {name: value for name, value in found.items() if name.startswith(WANTED)}


def record(case):
    recorded = json.loads(case.read_text())
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for path in ("etc", "usr/lib"):
            (root / path).mkdir(parents=True)
        (root / "usr/lib/os-release").touch()
        for path, text in recorded["files"].items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        # Without `lsb_release`, which would speak of this machine.
        mounts = f"mount --bind {root}/usr/lib/os-release /usr/lib/os-release && mount --bind {root}/etc /etc"
        command = ["unshare", "-m", "sh", "-c", f'{mounts} && PATH=/nowhere exec "$@"', "sh", sys.executable, __file__, "--facts"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    recorded["facts"] = json.loads(done.stdout)
    case.write_text(json.dumps(recorded, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


if sys.argv[1:] == ["--facts"]:
    print(json.dumps(facts()))
else:
    for case in sorted(HERE.glob("*.json")):
        if not sys.argv[1:] or case.stem in sys.argv[1:]:
            record(case)
