//! The lab's hosts for tests: `VMSTATION_LAB=1` runs them, `VMSTATION_LAB_NAME` names a lab that is up.

use std::process::Command;

pub struct Lab {
    pub name: String,
    pub folder: tempfile::TempDir,
}

pub struct Said {
    pub exit: i32,
    pub text: String,
}

impl Lab {
    /// `None`: no lab is wanted here.
    pub fn enter() -> Option<Self> {
        std::env::var_os("VMSTATION_LAB")?;
        let given = std::env::var("VMSTATION_LAB_NAME").ok();
        let name = given.clone().unwrap_or_else(|| "badtest".to_string());
        if given.is_none() {
            let up = Command::new(env!("CARGO_BIN_EXE_vmstation"))
                .args(["lab", "--name", &name, "up"])
                .output()
                .unwrap();
            assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
        }
        let folder = tempfile::tempdir().unwrap();
        Some(Self { name, folder })
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vmstation"));
        command
            .current_dir(self.folder.path())
            .env("ANSIBLE_CONFIG", "/dev/null")
            .args(["run", &format!("--lab={}", self.name)]);
        command
    }

    pub fn run(&self, words: &[&str]) -> Said {
        said(self.command().args(words))
    }
}

pub fn said(command: &mut Command) -> Said {
    let output = command.output().unwrap();
    Said {
        exit: output.status.code().unwrap_or(-1),
        text: format!(
            "{}{}",
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(&output.stdout)
        ),
    }
}
