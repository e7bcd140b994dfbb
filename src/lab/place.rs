//! Where a lab keeps its things: the roots, the state, and the names made of its name.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt as _, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::source::Diagnostic;

const ROOTS: &str = "/var/lib/vmstation/lab";
const PROGRAMS: &str = "/var/lib/vmstation/lab/kubernetes";
const IMAGES: &str = "/var/lib/vmstation/images";
const DISKS: &str = "/var/lib/vmstation/disks";
const STATE: &str = "/run/vmstation";

/// One lab. Several may be up at once under different names; they share the roots.
#[derive(Debug, Clone)]
pub struct Place {
    name: String,
}

impl Default for Place {
    /// The lab that is meant when none is named.
    fn default() -> Self {
        Self {
            name: Self::USUAL.to_owned(),
        }
    }
}

impl Place {
    /// The name of a lab that nobody named.
    pub const USUAL: &str = "lab";

    /// A lab of this name: letters, digits and dashes, at most 20, since it
    /// becomes part of file, namespace and machine names.
    pub fn new(name: &str) -> Result<Self, Diagnostic> {
        let plain = name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if name.is_empty() || name.len() > 20 || name.starts_with('-') || !plain {
            return Err(Diagnostic::error(format!("`{name}` cannot be the name of a lab"))
                .help("use lower case letters, digits and dashes, at most 20"));
        }
        Ok(Self {
            name: name.to_owned(),
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// What to add to `vmstation lab` to mean this one: nothing for the default.
    pub fn option(&self) -> String {
        if self.name == Self::USUAL {
            String::new()
        } else {
            format!(" --name {}", self.name)
        }
    }

    pub fn state(&self) -> PathBuf {
        Path::new(STATE).join(&self.name)
    }

    pub fn inventory(&self) -> PathBuf {
        self.state().join("inventory.yml")
    }

    pub fn key(&self) -> PathBuf {
        self.state().join("key")
    }

    pub fn known_hosts(&self) -> PathBuf {
        self.state().join("known_hosts")
    }

    pub fn host(&self, name: &str) -> PathBuf {
        self.state().join("hosts").join(name)
    }

    pub fn processes(&self) -> PathBuf {
        self.state().join("processes")
    }

    pub fn namespace(&self) -> String {
        format!("vmstation-{}", self.name)
    }

    /// The file that stands for the network namespace.
    pub fn network(&self) -> PathBuf {
        Path::new("/run/netns").join(self.namespace())
    }

    pub fn roots() -> &'static Path {
        Path::new(ROOTS)
    }

    /// Where the disks that virtual machines start from are kept, by recipe.
    pub fn images() -> &'static Path {
        Path::new(IMAGES)
    }

    /// What this lab's virtual machines write: on a real disk, where the state may be in
    /// memory.
    pub fn disks(&self) -> PathBuf {
        Path::new(DISKS).join(&self.name)
    }

    /// There in a lab whose hosts are virtual machines; in it, what runs their processors, where that was asked for
    /// by name.
    pub fn virtual_mark(&self) -> PathBuf {
        self.state().join("vms")
    }

    /// Where the programs of Kubernetes are kept, by recipe.
    pub fn programs() -> &'static Path {
        Path::new(PROGRAMS)
    }

    /// What the repository of Kubernetes' packages on the Debian hosts is signed with.
    pub fn packages_key(&self) -> PathBuf {
        self.state().join("kubernetes.asc")
    }

    /// What this machine has of the cluster, in a lab that has one: the kubeconfig, and
    /// a directory with the programs for it.
    pub fn kubeconfig(&self) -> PathBuf {
        self.state().join("kubeconfig")
    }

    pub fn client(&self) -> PathBuf {
        self.state().join("bin")
    }

    pub fn exists(&self) -> bool {
        self.state().exists() || self.network().exists() || self.disks().exists()
    }

    /// Waits until no other command works on this lab. Held while the file is.
    pub fn lock(&self) -> Result<File, Diagnostic> {
        lock(&self.lock_path())
    }

    /// The last thing that `down` does, while it holds it.
    pub fn remove_lock(&self) -> Result<(), Diagnostic> {
        fs::remove_file(self.lock_path()).map_err(|error| failed("removed", &self.lock_path(), &error))
    }

    fn lock_path(&self) -> PathBuf {
        Path::new(STATE).join(format!("{}.lock", self.name))
    }

    pub fn create(&self) -> Result<(), Diagnostic> {
        for dir in [self.state().join("hosts"), self.processes()] {
            directory(&dir)?;
        }
        Ok(())
    }

    pub fn remove(&self) -> Result<(), Diagnostic> {
        for dir in [self.disks(), self.state()] {
            match fs::remove_dir_all(&dir) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(failed("removed", &dir, &error)
                        .help("another command may work on this lab; run `vmstation lab down` again"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Writes a whole file or none.
    pub fn write(&self, path: &Path, text: &str) -> Result<(), Diagnostic> {
        let part = path.with_extension("part");
        write(&part, text, 0o600)?;
        fs::rename(&part, path).map_err(|error| failed("written", path, &error))
    }
}

/// Takes the lock that is this file; released when the result is dropped.
pub fn lock(path: &Path) -> Result<File, Diagnostic> {
    loop {
        let file = lock_file(path)?;
        file.lock().map_err(|error| failed("locked", path, &error))?;
        // Whoever held it before may have removed it: then it keeps nobody out any more.
        let is_it = fs::metadata(path)
            .and_then(|there| Ok(there.ino() == file.metadata()?.ino()))
            .unwrap_or(false);
        if is_it {
            return Ok(file);
        }
    }
}

/// The same, together with others who share it.
pub fn lock_shared(path: &Path) -> Result<File, Diagnostic> {
    let file = lock_file(path)?;
    file.lock_shared()
        .map_err(|error| failed("locked", path, &error))?;
    Ok(file)
}

fn lock_file(path: &Path) -> Result<File, Diagnostic> {
    if let Some(parent) = path.parent() {
        directory(parent)?;
    }
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|error| failed("opened", path, &error))
}

/// Makes a directory and those above it.
pub fn directory(path: &Path) -> Result<(), Diagnostic> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .map_err(|error| failed("made", path, &error))
}

/// Writes a file with these permissions, in place of what was there.
pub fn write(path: &Path, text: &str, mode: u32) -> Result<(), Diagnostic> {
    if let Some(parent) = path.parent() {
        directory(parent)?;
    }
    // A link that the root has in this place must not lead out of the root.
    let _ = fs::remove_file(path);
    fs::File::options()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| failed("written", path, &error))
}

/// "PATH cannot be DONE: why", with the usual way out.
pub fn failed(done: &str, path: &Path, error: &std::io::Error) -> Diagnostic {
    Diagnostic::error(format!("{} cannot be {done}: {error}", path.display()))
        .help("the lab needs to be root and room on the disk")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_must_be_plain() {
        for bad in ["", "-x", "a/b", "A", "a b", "abcdefghijklmnopqrstu", ".."] {
            assert!(Place::new(bad).is_err(), "{bad}");
        }
        assert!(Place::new("lab-2").is_ok());
    }

    #[test]
    fn the_default_needs_no_option() {
        assert_eq!(Place::new("lab").unwrap().option(), "");
        assert_eq!(Place::new("mine").unwrap().option(), " --name mine");
    }
}
