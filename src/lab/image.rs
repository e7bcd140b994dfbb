//! The disks that virtual machines start from: the roots of the containers, with a
//! kernel, its modules and an initial RAM disk.
//!
//! Kept as the roots are: below a directory named after a hash of what they are made
//! of, under another name until they are whole. A machine writes to an overlay on one
//! of them (`vm`), never to the disk itself.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::place::{Place, failed, lock, lock_shared, write};
use super::recipe::{self, ENDS_WITH_US, Roots, hash, script, whole};
use super::{Progress, mirror, program};
use crate::source::Diagnostic;

const FETCH: &str = include_str!("image/fetch.sh");
const DEBIAN: &str = include_str!("image/debian.sh");
const RHEL: &str = include_str!("image/rhel.sh");

/// What is not in the scripts is in this number: it rises with whatever else changes in how the disks are made.
const VERSION: &str = "1";

/// What the roots are, and what a machine is more than a container of one.
const ROOTS: [(&str, &str); 2] = [("debian", DEBIAN), ("rhel", RHEL)];

/// The size of a disk; a sparse file, of which half a gigabyte is written.
const SIZE: &str = "12G";

/// Disks of one recipe, all there, and kept for as long as this is. A machine that runs
/// holds its own open.
pub struct Images {
    dir: PathBuf,
    _lock: File,
}

impl Images {
    /// The disk made of the root called `debian` or `rhel`.
    pub fn disk(&self, root: &str) -> PathBuf {
        self.dir.join(format!("{root}.img"))
    }

    /// The accounts on that disk.
    pub fn passwd(&self, root: &str) -> PathBuf {
        self.dir.join(format!("{root}.passwd"))
    }

    pub fn kernel(&self) -> PathBuf {
        self.dir.join("vmlinuz")
    }

    pub fn initrd(&self) -> PathBuf {
        self.dir.join("initrd")
    }
}

/// Finds the disks, or makes them: half a minute, of which a few seconds need a network.
pub fn build(place: &Place, roots: &Roots, progress: Progress) -> Result<Images, Diagnostic> {
    let done = Place::images().join(hash(&parts(roots.name())));
    let guard = place.state().with_file_name("images.lock");
    loop {
        let shared = lock_shared(&guard)?;
        if done.is_dir() {
            return Ok(Images {
                dir: done,
                _lock: shared,
            });
        }
        drop(shared);
        let _alone = lock(&guard)?;
        build_now(roots, &done, progress)?;
    }
}

/// What the disks are made of, and how.
fn parts(roots: &str) -> [&str; 6] {
    [FETCH, DEBIAN, RHEL, SIZE, VERSION, roots]
}

fn build_now(roots: &Roots, done: &Path, progress: Progress) -> Result<(), Diagnostic> {
    let began = Instant::now();
    let dir = Place::images();
    let fetched = dir.join(format!("fetched-{}", hash(&[FETCH, roots.name()])));
    whole(&fetched, |part| fetch(roots, part, progress))?;
    whole(done, |part| make(roots, &fetched, part, progress))?;
    recipe::remove_old(dir, &[&fetched, done]);
    progress(&format!(
        "the machines' disks are made ({:.0} s) and kept in {}",
        began.elapsed().as_secs_f64(),
        done.display()
    ));
    Ok(())
}

fn fetch(roots: &Roots, dir: &Path, progress: Progress) -> Result<(), Diagnostic> {
    progress("fetching a kernel (once; a few seconds, 45 MB)");
    write(&dir.join("sources"), &mirror::sources()?, 0o644)?;
    let fetch = script(dir, "fetch.sh", FETCH)?;
    let mut words = ENDS_WITH_US.map(Path::new).to_vec();
    words.extend(["unshare", "--pid", "--fork", "--kill-child", "sh"].map(Path::new));
    let root = roots.root("debian");
    words.extend([&fetch, dir, &root]);
    let done = program::run(&words);
    done.map(drop).map_err(|error| {
        error.help("the packages come from the mirrors in /etc/apt; does `apt-get update` work?")
    })
}

fn make(roots: &Roots, fetched: &Path, dir: &Path, progress: Progress) -> Result<(), Diagnostic> {
    script(dir, "enter.sh", recipe::ENTER)?;
    for (name, text) in ROOTS {
        progress(&format!("making the disk of the {name} machines"));
        let tree = dir.join(name);
        recipe::copy(&roots.root(name), &tree)?;
        if name == "debian" {
            recipe::copy(&fetched.join("debs"), &tree.join("srv/kernel"))?;
            recipe::copy(&fetched.join("settings/usr/lib/sysctl.d"), &tree.join("usr/lib"))?;
        } else {
            let modules = tree.join("usr/lib/modules");
            let _ = fs::remove_dir_all(&modules);
            recipe::copy(&dir.join("debian/usr/lib/modules"), &modules)?;
        }
        recipe::run_inside(dir, name, text)?;
        let accounts = dir.join(format!("{name}.passwd"));
        recipe::copy(&tree.join("etc/passwd"), &accounts)?;
        let disk = dir.join(format!("{name}.img"));
        let words = ["mkfs.ext4", "-q", "-L", "root", "-d"].map(Path::new);
        let size = Path::new(SIZE);
        program::run(&[&words[..], &[&tree, &disk, size]].concat())?;
    }
    for (from, to) in [
        ("debian/boot/vmlinuz", "vmlinuz"),
        ("debian/boot/initrd", "initrd"),
    ] {
        recipe::copy(&dir.join(from), &dir.join(to))?;
    }
    for (name, _) in ROOTS {
        let tree = dir.join(name);
        fs::remove_dir_all(&tree).map_err(|error| failed("removed", &tree, &error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn disks_of_another_size_or_making_are_others() {
        let parts = parts("roots");
        for what in [FETCH, DEBIAN, RHEL, SIZE, VERSION, "roots"] {
            assert!(parts.contains(&what));
        }
    }

    #[test]
    fn every_script_is_one_that_sh_can_read() {
        for text in [FETCH, DEBIAN, RHEL] {
            let ok = Command::new("sh").args(["-n", "-c", text]).status().unwrap();
            assert!(ok.success(), "{}", text.lines().nth(1).unwrap());
        }
    }
}
