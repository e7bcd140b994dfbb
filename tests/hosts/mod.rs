//! The lab's hosts for tests: `VMSTATION_LAB=1` runs them, `VMSTATION_LAB_NAME` names a lab that is up.

use std::process::Command;
use std::sync::Mutex;

/// How many tests of this process are in a lab that it has started.
static INSIDE: Mutex<u32> = Mutex::new(0);

pub struct Lab {
    pub name: String,
    pub folder: tempfile::TempDir,
    is_ours: bool,
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
        let is_ours = given.is_none();
        let name = given.unwrap_or_else(|| format!("badtest{}", std::process::id()));
        let folder = tempfile::tempdir().unwrap();
        let lab = Self {
            name,
            folder,
            is_ours,
        };
        if is_ours {
            // Counted before it may fail: whoever goes last ends what there is.
            let mut inside = lock();
            *inside += 1;
            lab.lab("up");
        }
        Some(lab)
    }

    fn lab(&self, action: &str) {
        let ended = Command::new(env!("CARGO_BIN_EXE_vmstation"))
            .args(["lab", "--name", &self.name, action])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(
            ended.status.success() || std::thread::panicking(),
            "lab {action}: {said}"
        );
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

/// The last test ends the lab.
impl Drop for Lab {
    fn drop(&mut self) {
        if !self.is_ours {
            return;
        }
        let mut inside = lock();
        *inside -= 1;
        if *inside == 0 {
            self.lab("down");
        }
    }
}

fn lock() -> std::sync::MutexGuard<'static, u32> {
    INSIDE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
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
