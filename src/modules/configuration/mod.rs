//! Configuration files of the system of which a module owns some lines: read in bulk, written whole.

use crate::host::question::Look;
use crate::host::quote;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub path: String,
    /// From 1.
    pub number: usize,
    pub text: String,
}

/// All lines of all files in these directories, with their places.
pub fn lines_of(label: &str, directories: &[&str]) -> Look {
    let files: Vec<String> = directories.iter().map(|d| format!("{d}/*")).collect();
    // /dev/null makes grep name the file even if there is only one.
    Look::new(label, format!("grep -sn '' /dev/null {}; :", files.join(" ")))
}

/// Reads what [`lines_of`] prints.
pub fn lines(output: &str) -> Vec<Line> {
    let line = |line: &str| {
        let (path, rest) = line.split_once(':')?;
        let (number, text) = rest.split_once(':')?;
        Some(Line {
            path: path.to_string(),
            number: number.parse().ok()?,
            text: text.to_string(),
        })
    };
    output.lines().filter_map(line).collect()
}

/// One file's lines together.
pub fn text_of(lines: &[Line], path: &str) -> String {
    let of_path = lines.iter().filter(|line| line.path == path);
    of_path.flat_map(|line| [line.text.as_str(), "\n"]).collect()
}

/// Lines of `sh` that replace a file's content at once: owner and mode stay, links are followed. They end the
/// script if they fail.
pub fn written(path: &str, content: &str) -> String {
    format!(
        "f=$(readlink -f -- {path}) || f={path}\nt=$f.vmstation-$$\n\
         trap 'rm -f -- \"$t\"' EXIT\ntrap 'exit 1' HUP INT TERM PIPE\n\
         {{ [ ! -e \"$f\" ] || cp -p -- \"$f\" \"$t\"; }} && printf %s {content} >\"$t\" && mv -f -- \"$t\" \"$f\" || exit 1\n\
         trap - EXIT HUP INT TERM PIPE\n",
        path = quote(path),
        content = quote(content),
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_file_is_replaced_where_its_link_leads() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("real file");
        let link = directory.path().join("link");
        fs::write(&file, "old\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("real file", &link).unwrap();
        let script = written(link.to_str().unwrap(), "it's\nnew\n");
        assert!(
            Command::new("sh")
                .args(["-c", &script])
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), "it's\nnew\n");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn lines_have_places() {
        let read = lines("/etc/a.conf:1:x=1\n/etc/a.conf:2:y:z\n/etc/b.conf:1:\n");
        assert_eq!(read.len(), 3);
        assert_eq!(read[1].text, "y:z");
        assert_eq!(text_of(&read, "/etc/a.conf"), "x=1\ny:z\n");
    }
}
