//! Mode, owner and group: what a task wants of a path, how that differs from what is there, and what changes it.

use std::fmt::Write as _;

use super::mode::{Base, Mode};
use super::object::{octal, refused};
use crate::host::question::{Account, FileKind, FileStat, Group, Look};
use crate::host::{Answers, Batch, Halt, Host, Slot, fail};

/// The options that every module for files has, as the task gives them.
#[derive(Debug, Clone, Default)]
pub struct Given {
    pub mode: Option<Mode>,
    pub owner: Option<String>,
    pub group: Option<String>,
    pub attributes: Option<String>,
    /// `seuser`, `serole`, `setype`, `selevel`.
    pub context: [Option<String>; 4],
    pub unsafe_writes: bool,
}

/// Reads [`Given`] from the fields of a module.
///
/// The fields stand in each module by themselves, because `serde(flatten)` would hide their names from those
/// who list a module's options.
macro_rules! given {
    ($module:expr) => {
        $crate::modules::files::attributes::Given {
            mode: $module.mode.clone(),
            owner: $module.owner.clone(),
            group: $module.group.clone(),
            attributes: $module.attributes.clone(),
            context: [
                $module.seuser.clone(),
                $module.serole.clone(),
                $module.setype.clone(),
                $module.selevel.clone(),
            ],
            unsafe_writes: $module.unsafe_writes,
        }
    };
}
pub(in crate::modules) use given;

/// Where the answers will be that turn names into numbers.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    owner: Option<Slot<Account>>,
    group: Option<Slot<Group>>,
    umask: Option<Slot<Look>>,
}

/// [`Given`], in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    pub mode: Option<Mode>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub umask: u32,
}

/// What there is at a path, as far as attributes and times go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Present {
    pub kind: FileKind,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds since 1970.
    pub accessed: f64,
    pub modified: f64,
}

impl Present {
    /// Something that is to come, of which the mode is known.
    pub fn new(kind: FileKind, mode: u32) -> Self {
        Self {
            kind,
            mode,
            uid: 0,
            gid: 0,
            accessed: 0.0,
            modified: 0.0,
        }
    }
}

impl From<&FileStat> for Present {
    fn from(s: &FileStat) -> Self {
        Self {
            kind: s.kind,
            mode: s.mode,
            uid: s.uid,
            gid: s.gid,
            accessed: s.accessed,
            modified: s.modified,
        }
    }
}

/// What is to be set at one path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Setting {
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub mode: Option<u32>,
}

impl Given {
    /// Refuses what is not supported, by name.
    pub fn check(&self) -> Result<(), Halt> {
        if self.attributes.is_some() {
            return Err(refused("attributes", "use `command: chattr …`"));
        }
        let names = ["seuser", "serole", "setype", "selevel"];
        if let Some((name, _)) = names.iter().zip(&self.context).find(|(_, c)| c.is_some()) {
            return Err(refused(
                name,
                "a file keeps its SELinux context, and a new one gets the policy's; use `command: chcon …`",
            ));
        }
        if self.unsafe_writes {
            return Err(refused(
                "unsafe_writes",
                "a file is replaced as a whole or not at all; use `shell: cat … > file` where it cannot be",
            ));
        }
        Ok(())
    }

    /// Puts the questions that turn names into numbers.
    pub fn ask(&self, batch: &mut Batch) -> Names {
        let name = |name: &Option<String>| name.clone().filter(|n| number(n).is_none());
        Names {
            owner: name(&self.owner).map(|name| batch.put(Account { name })),
            group: name(&self.group).map(|name| batch.put(Group { name })),
            umask: self
                .mode
                .as_ref()
                .filter(|mode| mode.is_symbolic())
                .map(|_| batch.put(Look::new("umask", "umask"))),
        }
    }

    pub fn wanted(&self, names: Names, answers: &mut Answers, host: &Host) -> Result<Wanted, Halt> {
        let umask = match names.umask {
            Some(slot) => u32::from_str_radix(answers.take(slot)?.stdout_text().trim(), 8).unwrap_or(0o022),
            None => 0o022,
        };
        Ok(Wanted {
            mode: self.mode.clone(),
            uid: id(self.owner.as_deref(), "user", host, || match names.owner {
                Some(slot) => Ok(answers.take(slot)?.map(|a| a.uid)),
                None => Ok(None),
            })?,
            gid: id(self.group.as_deref(), "group", host, || match names.group {
                Some(slot) => Ok(answers.take(slot)?.map(|g| g.gid)),
                None => Ok(None),
            })?,
            umask,
        })
    }
}

fn number(name: &str) -> Option<u32> {
    name.trim().parse().ok()
}

fn id(
    name: Option<&str>,
    kind: &str,
    host: &Host,
    look_up: impl FnOnce() -> Result<Option<u32>, Halt>,
) -> Result<Option<u32>, Halt> {
    let Some(name) = name else { return Ok(None) };
    if let Some(number) = number(name) {
        return Ok(Some(number));
    }
    match look_up()? {
        Some(id) => Ok(Some(id)),
        // An earlier task would have made them; this is nobody's number, so it shows as a change.
        None if host.check() => Ok(Some(u32::MAX)),
        None => Err(fail(format!(
            "there is no {kind} `{name}` on the host to own the file"
        ))),
    }
}

impl Wanted {
    /// What must be set for these attributes; nothing for a link's mode, which cannot be set.
    pub fn setting(&self, present: Present) -> Option<Setting> {
        let uid = self.uid.filter(|uid| *uid != present.uid);
        let gid = self.gid.filter(|gid| *gid != present.gid);
        let mode = self.bits(present).filter(|mode| {
            // A new owner takes the set-id bits away.
            let taken = (uid.is_some() || gid.is_some()) && mode & 0o6000 != 0;
            *mode != present.mode || taken
        });
        let setting = Setting { uid, gid, mode };
        (setting != Setting::default()).then_some(setting)
    }

    /// The mode that something with these attributes should have, if the task names one.
    pub fn bits(&self, present: Present) -> Option<u32> {
        if present.kind == FileKind::Link {
            return None;
        }
        let base = Base {
            bits: present.mode,
            directory: present.kind == FileKind::Directory,
            umask: self.umask,
        };
        self.mode.as_ref().map(|mode| mode.bits(base))
    }

    /// What must be set on something that the task itself makes.
    pub fn setting_of_new(&self, kind: FileKind) -> Setting {
        Setting {
            uid: self.uid,
            gid: self.gid,
            mode: self.bits(Present::new(kind, self.mode_of_new(kind))),
        }
    }

    fn mode_of_new(&self, kind: FileKind) -> u32 {
        let all = if kind == FileKind::Directory { 0o777 } else { 0o666 };
        all & !self.umask
    }

    /// Before and after, for `--diff`.
    pub fn difference(present: Present, setting: Setting) -> (String, String) {
        let (mut before, mut after) = (String::new(), String::new());
        let ids = [
            ("owner", present.uid, setting.uid),
            ("group", present.gid, setting.gid),
        ];
        for (name, old, new) in ids {
            if let Some(new) = new {
                let _ = writeln!(before, "{name}: {old}");
                let _ = writeln!(after, "{name}: {new}");
            }
        }
        if let Some(new) = setting.mode.filter(|mode| *mode != present.mode) {
            let _ = writeln!(before, "mode: {}", octal(present.mode));
            let _ = writeln!(after, "mode: {}", octal(new));
        }
        (before, after)
    }
}

impl Setting {
    /// Shell text that sets it; `path` is a shell word. Stops the script when something cannot be set.
    pub fn script(self, path: &str, follow: bool) -> String {
        let mut text = String::new();
        let whom = match (self.uid, self.gid) {
            (Some(uid), Some(gid)) => Some(format!("{uid}:{gid}")),
            (Some(uid), None) => Some(uid.to_string()),
            (None, Some(gid)) => Some(format!(":{gid}")),
            (None, None) => None,
        };
        if let Some(whom) = whom {
            let link = if follow { "" } else { "-h " };
            let _ = writeln!(text, "chown {link}{whom} -- {path} || exit 1");
        }
        if let Some(mode) = self.mode {
            let _ = writeln!(text, "{} || exit 1", chmod(mode, path));
        }
        text
    }
}

/// Five digits: GNU chmod leaves a directory's set-id bits alone when it is given fewer.
pub fn chmod(mode: u32, path: &str) -> String {
    format!("chmod {mode:05o} -- {path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(mode: u32) -> Present {
        Present::new(FileKind::File, mode)
    }

    fn wanted(mode: u32) -> Wanted {
        Wanted {
            mode: Some(Mode::Bits(mode)),
            ..Wanted::default()
        }
    }

    #[test]
    fn nothing_is_set_where_nothing_differs() {
        assert_eq!(Wanted::default().setting(file(0o600)), None);
        assert_eq!(wanted(0o600).setting(file(0o600)), None);
        let link = Present {
            kind: FileKind::Link,
            ..file(0o777)
        };
        assert_eq!(wanted(0o600).setting(link), None);
    }

    #[test]
    fn a_new_owner_takes_set_id_bits_away_so_the_mode_is_set_again() {
        let wanted = Wanted {
            uid: Some(7),
            ..wanted(0o4755)
        };
        let setting = wanted.setting(file(0o4755)).unwrap();
        assert_eq!(
            setting.script("/x", false),
            "chown -h 7 -- /x || exit 1\nchmod 04755 -- /x || exit 1\n"
        );
        assert_eq!(
            Wanted::difference(file(0o4755), setting),
            ("owner: 0\n".to_string(), "owner: 7\n".to_string())
        );
    }

    #[test]
    fn symbolic_modes_of_new_things_begin_at_the_umask() {
        let wanted = Wanted {
            mode: Some(Mode::read(&"u+x".into()).unwrap()),
            umask: 0o027,
            ..Wanted::default()
        };
        assert_eq!(wanted.setting_of_new(FileKind::File).mode, Some(0o740));
        assert_eq!(wanted.setting_of_new(FileKind::Directory).mode, Some(0o750));
    }
}
