//! The root file systems: what they are made of, and making them when that changed.
//!
//! They lie below a directory named after a hash of the recipe. A build happens in
//! a directory of another name, which gets its own at the very end: what is there
//! under its name is whole. What was fetched is kept the same way, so that another
//! recipe for the same packages needs no network.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::machine::unmount_below;
use super::place::{Place, directory, failed, lock, lock_shared, write};
use super::rhel::ALTERNATIVES;
use super::{Progress, mirror, program};
use crate::source::Diagnostic;

const FETCH: &str = include_str!("recipe/fetch.sh");
/// Runs a script inside a root, with no network.
pub const ENTER: &str = include_str!("recipe/enter.sh");
const DEBIAN: &str = include_str!("recipe/debian.sh");
const NOPYTHON: &str = include_str!("recipe/nopython.sh");
const RHEL: &str = include_str!("recipe/rhel.sh");

/// Kills what follows when this program is: a build that nobody waits for must not
/// write into the directory of the next one. A namespace for processes takes those
/// below along.
pub const ENDS_WITH_US: [&str; 3] = ["setpriv", "--pdeathsig", "KILL"];

/// The root file systems of one recipe, all there, and kept there for as long as
/// this is: from a mount on, the mount itself keeps them.
pub struct Roots {
    dir: PathBuf,
    _lock: File,
}

impl Roots {
    /// What tells these from roots of another recipe.
    pub fn name(&self) -> &str {
        self.dir
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
    }

    /// What the repository of Kubernetes' packages is signed with.
    pub fn packages_key(&self) -> Result<String, Diagnostic> {
        let file = self.root("debian").join("srv/debs-kubernetes/kubernetes.asc");
        fs::read_to_string(&file).map_err(|error| failed("read", &file, &error))
    }

    /// The directory of the root called `debian`, `nopython` or `rhel`.
    pub fn root(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// Finds the root file systems, or makes them: a minute the first time, which is
/// the only part of the lab that needs a network.
pub fn build(place: &Place, progress: Progress) -> Result<Roots, Diagnostic> {
    let dir = Place::roots();
    let done = dir.join(hash(&[FETCH, ENTER, DEBIAN, NOPYTHON, RHEL, ALTERNATIVES]));
    let guard = place.state().with_file_name("roots.lock");
    loop {
        let shared = lock_shared(&guard)?;
        if done.is_dir() {
            return Ok(Roots {
                dir: done,
                _lock: shared,
            });
        }
        drop(shared);
        let _alone = lock(&guard)?;
        build_now(dir, &done, progress)?;
    }
}

/// Builds what is missing of a recipe's roots, and removes what nobody uses.
fn build_now(dir: &Path, done: &Path, progress: Progress) -> Result<(), Diagnostic> {
    let began = Instant::now();
    let fetched = dir.join(format!("fetched-{}", hash(&[FETCH])));
    whole(&fetched, |part| fetch(part, progress))?;
    whole(done, |part| make(&fetched, part, progress))?;
    remove_old(dir, &[&fetched, done, Place::programs()]);
    progress(&format!(
        "the root file systems are built ({:.0} s) and kept in {}",
        began.elapsed().as_secs_f64(),
        done.display()
    ));
    Ok(())
}

/// Makes a directory unless it is there, under another name until it is whole.
pub fn whole(dir: &Path, make: impl FnOnce(&Path) -> Result<(), Diagnostic>) -> Result<(), Diagnostic> {
    if dir.is_dir() {
        return Ok(());
    }
    let part = dir.with_file_name("building");
    discard(&part)?;
    directory(&part)?;
    make(&part)?;
    fs::rename(&part, dir).map_err(|error| failed("renamed", &part, &error))
}

fn fetch(dir: &Path, progress: Progress) -> Result<(), Diagnostic> {
    progress("fetching Debian 12 (once; half a minute, 100 MB)");
    write(&dir.join("sources"), &mirror::sources()?, 0o644)?;
    let fetch = script(dir, "fetch.sh", FETCH)?;
    let mut words = ENDS_WITH_US.map(Path::new).to_vec();
    words.extend(["unshare", "--mount", "--pid", "--fork"].map(Path::new));
    words.extend(["--kill-child", "--mount-proc", "sh"].map(Path::new));
    words.extend([&fetch, dir]);
    let done = program::run(&words);
    done.map(drop).map_err(|error| {
        error.help("the packages come from the mirrors in /etc/apt; does `apt-get update` work?")
    })
}

fn make(fetched: &Path, dir: &Path, progress: Progress) -> Result<(), Diagnostic> {
    script(dir, "enter.sh", ENTER)?;
    let debian = dir.join("debian");
    progress("making the Debian hosts' root");
    copy(&fetched.join("debian"), &debian)?;
    copy(&fetched.join("debs"), &debian.join("srv/debs"))?;
    run_inside(dir, "debian", DEBIAN)?;
    progress("making the root without Python");
    copy(&debian, &dir.join("nopython"))?;
    run_inside(dir, "nopython", NOPYTHON)?;
    progress("making the RHEL look-alike's root");
    let rhel = dir.join("rhel");
    copy(&debian, &rhel)?;
    copy(&fetched.join("rhel-debs"), &rhel.join("srv/rhel-debs"))?;
    write(&rhel.join("srv/alternatives"), ALTERNATIVES, 0o755)?;
    run_inside(dir, "rhel", RHEL)
}

/// Runs a script of the recipe inside a root, with no network and mounts that end
/// with it.
pub fn run_inside(dir: &Path, root: &str, text: &str) -> Result<(), Diagnostic> {
    let file = script(dir, &format!("{root}.sh"), text)?;
    let input = File::open(&file).map_err(|error| failed("read", &file, &error))?;
    let root = dir.join(root);
    let enter = dir.join("enter.sh");
    let mut words = ENDS_WITH_US.map(Path::new).to_vec();
    words.extend([Path::new("sh"), &enter, &root]);
    program::feed(&words, input).map(drop)
}

pub fn script(dir: &Path, name: &str, text: &str) -> Result<PathBuf, Diagnostic> {
    let file = dir.join(name);
    write(&file, text, 0o755)?;
    Ok(file)
}

pub fn copy(from: &Path, to: &Path) -> Result<(), Diagnostic> {
    program::run(&["cp".as_ref(), "-a".as_ref(), from, to]).map(drop)
}

/// Removes a tree, mounts in it first: what is mounted there is not ours to delete.
fn discard(dir: &Path) -> Result<(), Diagnostic> {
    unmount_below(dir)?;
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed("removed", dir, &error)),
        _ => Ok(()),
    }
}

/// Removes what earlier recipes left in a directory and no lab uses any more.
pub fn remove_old(dir: &Path, current: &[&Path]) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let used = mounts.contains(&format!("{}/", path.display()));
        if !current.contains(&path.as_path()) && !used {
            // Room on the disk is all that a failure costs.
            let _ = discard(&path);
        }
    }
}

/// Sixteen hex digits that change with any of the texts (FNV-1a, whose result
/// does not change with the compiler).
pub fn hash(parts: &[&str]) -> String {
    let mut sum: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in parts.iter().flat_map(|part| part.bytes().chain([0])) {
        sum = (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{sum:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_hash_tells_texts_and_their_borders_apart() {
        assert_eq!(hash(&["a", "b"]), hash(&["a", "b"]));
        assert_ne!(hash(&["ab", ""]), hash(&["a", "b"]));
        assert_eq!(hash(&[]).len(), 16);
    }

    #[test]
    fn every_script_is_one_that_sh_can_read() {
        for text in [FETCH, ENTER, DEBIAN, NOPYTHON, RHEL, ALTERNATIVES] {
            let ok = Command::new("sh").args(["-n", "-c", text]).status().unwrap();
            assert!(ok.success(), "{}", text.lines().nth(1).unwrap());
        }
    }
}
