//! Paths on the controlling machine.

use std::path::{Path, PathBuf};

use minijinja::Error;

use crate::template::call::{Call, Test};
use crate::template::outside::Entry;
use crate::template::variables::root;

pub const TESTS: &[(&str, Test)] = &[
    ("abs", is_abs),
    ("directory", |c| entry(c, true, |e| e.is_directory)),
    ("exists", |c| entry(c, true, |_| true)),
    ("file", |c| entry(c, true, |e| e.is_file)),
    ("is_abs", is_abs),
    ("is_dir", |c| entry(c, true, |e| e.is_directory)),
    ("is_file", |c| entry(c, true, |e| e.is_file)),
    ("is_link", |c| entry(c, false, |e| e.is_link)),
    ("is_mount", is_mount),
    ("is_same_file", is_same_file),
    ("link", |c| entry(c, false, |e| e.is_link)),
    ("link_exists", |c| entry(c, false, |_| true)),
    ("mount", is_mount),
    ("same_file", is_same_file),
];

fn look(call: &Call, path: &Path, follow: bool) -> Result<Option<Entry>, Error> {
    let root = root(call.state)?;
    Ok(root.evaluation.outside()?.entry(path, follow))
}

fn entry(call: &mut Call, follow: bool, found: fn(Entry) -> bool) -> Result<bool, Error> {
    let path = PathBuf::from(call.subject()?);
    Ok(look(call, &path, follow)?.is_some_and(found))
}

fn is_abs(call: &mut Call) -> Result<bool, Error> {
    Ok(call.subject()?.starts_with('/'))
}

fn is_mount(call: &mut Call) -> Result<bool, Error> {
    let path = PathBuf::from(call.subject()?);
    let Some(here) = look(call, &path, false)? else {
        return Ok(false);
    };
    let Some(above) = look(call, &path.join(".."), true)? else {
        return Ok(false);
    };
    Ok(here.is_directory && (here.device != above.device || here.inode == above.inode))
}

fn is_same_file(call: &mut Call) -> Result<bool, Error> {
    let (a, b) = (call.subject()?, call.needed_text(1, "path2")?);
    let (a, b) = (look(call, Path::new(&a), true)?, look(call, Path::new(&b), true)?);
    Ok(match (a, b) {
        (Some(a), Some(b)) => a.device == b.device && a.inode == b.inode,
        _ => false,
    })
}
