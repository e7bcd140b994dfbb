"""Prints what Ansible makes of the case in the working directory (see record.sh)."""

import json
import os
import sys

from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.manager import VariableManager

# Not from the inventory: Ansible's own, or the machine's.
NOT_OURS = {
    "ansible_playbook_python", "ansible_python_interpreter", "environment", "group_names", "groups", "hostvars",
    "inventory_dir", "inventory_file", "inventory_hostname", "inventory_hostname_short", "omit", "playbook_dir",
    "ansible_facts", "ansible_local", "ansible_version", "ansible_config_file", "vars",
}

case = json.load(open("case.json"))
here = os.getcwd()


def from_here(path):
    # A host list has the text "None" for its directory.
    if path in (None, "None"):
        return None
    return os.path.relpath(path, here) if os.path.isabs(path) else path


loader = DataLoader()
loader.set_basedir(os.path.join(here, case.get("playbook_dir", "")) if "playbook_dir" in case else os.devnull)
# As the command line does it: paths from the root, host lists as they are.
sources = [s if "," in s else os.path.join(here, s) for s in case["sources"]]
inventory = InventoryManager(loader=loader, sources=sources)
variables = VariableManager(loader=loader, inventory=inventory)


def host(name):
    found = inventory.get_host(name)
    merged = variables.get_vars(host=found, include_hostvars=False)
    return {
        "vars": {str(k): v for k, v in merged.items() if k not in NOT_OURS},
        "group_names": merged["group_names"],
        "inventory_file": from_here(merged.get("inventory_file")),
        "inventory_dir": from_here(merged.get("inventory_dir")),
    }


def select(pattern, limit):
    inventory.subset(limit)
    try:
        return [h.name for h in inventory.get_hosts(pattern)]
    except Exception as e:
        return "error"
    finally:
        inventory.subset(None)
        # The first name of this machine that is asked for stays its name; each pattern here starts anew.
        if inventory.localhost is not None and inventory.localhost.implicit:
            inventory._inventory.localhost = None
            inventory.clear_caches()


json.dump(
    {
        "hosts": [h.name for h in inventory.groups["all"].get_hosts()],
        "groups": inventory.get_groups_dict(),
        "group_order": list(inventory.groups),
        "select": [[p, l, select(p, l)] for p, l in case.get("patterns", [])],
        "host": {name: host(name) for name in sorted({*inventory.hosts, "localhost"})},
    },
    sys.stdout,
    indent=1,
    ensure_ascii=False,
    default=lambda o: sorted(o) if isinstance(o, set) else str(o),
)
print()
