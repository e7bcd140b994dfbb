"""Prints what Ansible makes of the configuration for the working directory (see record_config.sh)."""

import json
import os
import sys

from ansible import constants as C
from ansible.plugins.loader import connection_loader

here = os.getcwd()
ssh = connection_loader.get("ssh", class_only=True)


def below(value):
    """Paths below the case, in the same form wherever it lies."""
    if isinstance(value, list):
        return [below(v) for v in value]
    return value.replace(here, "HERE") if isinstance(value, str) else value


def of_ssh(name):
    return C.config.get_config_value(name, plugin_type="connection", plugin_name="ssh")


default_ssh_args = "-C -o ControlMaster=auto -o ControlPersist=60s"
json.dump(
    {
        "file": below(C.CONFIG_FILE),
        "inventory": below(C.DEFAULT_HOST_LIST),
        "roles_path": below(C.DEFAULT_ROLES_PATH),
        "gathering": C.DEFAULT_GATHERING,
        "host_key_checking": of_ssh("host_key_checking"),
        "timeout": of_ssh("timeout"),
        "remote_user": C.DEFAULT_REMOTE_USER,
        "remote_port": C.DEFAULT_REMOTE_PORT,
        "private_key_file": below(C.DEFAULT_PRIVATE_KEY_FILE),
        "ask_pass": C.DEFAULT_ASK_PASS,
        "transport": C.DEFAULT_TRANSPORT,
        "become": C.DEFAULT_BECOME,
        "become_method": C.DEFAULT_BECOME_METHOD,
        "become_user": C.DEFAULT_BECOME_USER,
        "become_ask_pass": C.DEFAULT_BECOME_ASK_PASS,
        "become_flags": C.DEFAULT_BECOME_FLAGS,
        "become_exe": C.DEFAULT_BECOME_EXE,
        "forks": C.DEFAULT_FORKS,
        "strategy": C.DEFAULT_STRATEGY,
        "force_handlers": C.DEFAULT_FORCE_HANDLERS,
        "any_errors_fatal": C.ANY_ERRORS_FATAL,
        "diff_always": C.DIFF_ALWAYS,
        "executable": C.DEFAULT_EXECUTABLE,
        "ansible_managed": C.DEFAULT_MANAGED_STR,
        "run_tags": C.TAGS_RUN,
        "skip_tags": C.TAGS_SKIP,
        "ssh_args": of_ssh("ssh_args"),
        "ssh_common_args": of_ssh("ssh_common_args"),
        "ssh_extra_args": of_ssh("ssh_extra_args"),
        "retries": of_ssh("reconnection_retries"),
    },
    sys.stdout,
    indent=1,
)
print()
