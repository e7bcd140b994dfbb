//! The root file systems: what they are made of, and making them when that changed.
//!
//! They lie below a directory named after a hash of the recipe. A build happens in
//! a directory of another name, which gets its own at the very end: what is there
//! under its name is whole.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::machine::unmount_below;
use super::place::{Place, directory, failed, lock, write};
use super::{Progress, mirror, program};
use crate::source::Diagnostic;

const FETCH: &str = include_str!("recipe/fetch.sh");
const ENTER: &str = include_str!("recipe/enter.sh");
const DEBIAN: &str = include_str!("recipe/debian.sh");
const NOPYTHON: &str = include_str!("recipe/nopython.sh");
const RHEL: &str = include_str!("recipe/rhel.sh");
const ALTERNATIVES: &str = include_str!("rhel/alternatives.sh");

/// The root file systems of one recipe, all there.
pub struct Roots(PathBuf);

impl Roots {
    /// The directory of the root called `debian`, `nopython` or `rhel`.
    pub fn root(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

/// Finds the root file systems, or makes them (a minute, and the only part of the
/// lab that needs a network).
pub fn build(place: &Place, progress: Progress) -> Result<Roots, Diagnostic> {
    let dir = Place::roots();
    let done = dir.join(hash());
    if done.is_dir() {
        return Ok(Roots(done));
    }
    let _lock = lock(&place.state().with_file_name("roots.lock"))?;
    // Another lab may have built them while this one waited.
    if done.is_dir() {
        return Ok(Roots(done));
    }
    let began = Instant::now();
    let part = dir.join("building");
    discard(&part)?;
    directory(&part)?;
    make(&part, progress)?;
    fs::rename(&part, &done).map_err(|error| failed("renamed", &part, &error))?;
    remove_old(dir, &done);
    progress(&format!(
        "the root file systems are built ({:.0} s) and kept in {}",
        began.elapsed().as_secs_f64(),
        done.display()
    ));
    Ok(Roots(done))
}

fn make(dir: &Path, progress: Progress) -> Result<(), Diagnostic> {
    progress("fetching Debian 12 (once; half a minute, 100 MB)");
    write(&dir.join("sources"), &mirror::sources()?, 0o644)?;
    let fetch = script(dir, "fetch.sh", FETCH)?;
    script(dir, "enter.sh", ENTER)?;
    program::run(&["sh".as_ref(), fetch.as_path(), dir]).map_err(|error| {
        error.help("the packages come from the mirrors in /etc/apt; does `apt-get update` work?")
    })?;
    let debian = dir.join("debian");
    directory(&debian.join("srv"))?;
    shift(&dir.join("debs"), &debian.join("srv/debs"))?;
    progress("making the Debian hosts' root");
    run_inside(dir, "debian", DEBIAN)?;
    progress("making the root without Python");
    copy(&debian, &dir.join("nopython"))?;
    run_inside(dir, "nopython", NOPYTHON)?;
    progress("making the RHEL look-alike's root");
    let rhel = dir.join("rhel");
    copy(&debian, &rhel)?;
    shift(&dir.join("rhel-debs"), &rhel.join("srv/rhel-debs"))?;
    write(&rhel.join("srv/alternatives"), ALTERNATIVES, 0o755)?;
    run_inside(dir, "rhel", RHEL)
}

/// Runs a script of the recipe inside a root, with no network and mounts that end
/// with it.
fn run_inside(dir: &Path, root: &str, text: &str) -> Result<(), Diagnostic> {
    let file = script(dir, &format!("{root}.sh"), text)?;
    let input = File::open(&file).map_err(|error| failed("read", &file, &error))?;
    let root = dir.join(root);
    let enter = dir.join("enter.sh");
    program::feed(&["sh".as_ref(), enter.as_path(), root.as_path()], input).map(drop)
}

fn script(dir: &Path, name: &str, text: &str) -> Result<PathBuf, Diagnostic> {
    let file = dir.join(name);
    write(&file, text, 0o755)?;
    Ok(file)
}

fn shift(from: &Path, to: &Path) -> Result<(), Diagnostic> {
    fs::rename(from, to).map_err(|error| failed("moved", from, &error))
}

fn copy(from: &Path, to: &Path) -> Result<(), Diagnostic> {
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

/// Removes the roots of earlier recipes that no lab uses any more.
fn remove_old(dir: &Path, current: &Path) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let used = mounts.contains(&format!("{}/", path.display()));
        if path != current && !used {
            // Room on the disk is all that a failure costs.
            let _ = discard(&path);
        }
    }
}

/// Sixteen hex digits that change with any file of the recipe (FNV-1a, whose
/// result does not change with the compiler).
fn hash() -> String {
    let parts = [FETCH, ENTER, DEBIAN, NOPYTHON, RHEL, ALTERNATIVES];
    let mut sum: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        for byte in part.bytes().chain([0]) {
            sum = (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{sum:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_hash_is_stable_and_plain() {
        assert_eq!(hash(), hash());
        assert_eq!(hash().len(), 16);
    }

    #[test]
    fn every_script_is_one_that_sh_can_read() {
        for text in [FETCH, ENTER, DEBIAN, NOPYTHON, RHEL, ALTERNATIVES] {
            let ok = Command::new("sh").args(["-n", "-c", text]).status().unwrap();
            assert!(ok.success(), "{}", text.lines().nth(1).unwrap());
        }
    }
}
