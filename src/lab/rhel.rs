//! RHEL's `alternatives`, of which Debian has none: a shell script that speaks as
//! the real one does, since that is what programs read.

/// The script, for /usr/sbin/alternatives of the look-alike.
pub const ALTERNATIVES: &str = include_str!("rhel/alternatives.sh");

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    struct Fixture(tempfile::TempDir);

    impl Fixture {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir(dir.path().join("bin")).unwrap();
            Self(dir)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// Runs it with words in which `~` stands for the directory; exit code,
        /// stdout, stderr, with the directory as `~` again.
        fn run(&self, words: &str) -> (i32, String, String) {
            let here = self.0.path().display().to_string();
            let words = words.replace('~', &here);
            let output = Command::new("sh")
                .args(["-c", ALTERNATIVES, "alternatives"])
                .arg("--altdir")
                .arg(self.path("alt"))
                .arg("--admindir")
                .arg(self.path("state"))
                .args(words.split_whitespace())
                .output()
                .unwrap();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&here, "~");
            (
                output.status.code().unwrap(),
                text(&output.stdout),
                text(&output.stderr),
            )
        }

        fn ok(&self, words: &str) -> String {
            let (code, stdout, stderr) = self.run(words);
            assert_eq!((code, stderr.as_str()), (0, ""), "{words}");
            stdout
        }

        fn link(&self, name: &str) -> Option<PathBuf> {
            fs::read_link(self.path(name)).ok()
        }

        fn two(&self) {
            self.ok("--install ~/bin/x x ~/a 10 --follower ~/bin/x6 x6 ~/a6");
            self.ok("--install ~/bin/x x ~/b 20 --family new --slave ~/bin/xs xs ~/bs");
        }
    }

    #[test]
    fn display_says_what_rhel_says() {
        let fixture = Fixture::new();
        fixture.ok("--install ~/bin/iptables iptables ~/iptables-nft 10 --follower ~/bin/ip6tables ip6tables ~/ip6tables-nft");
        assert_eq!(
            fixture.ok("--display iptables"),
            "iptables - status is auto.\n link currently points to ~/iptables-nft\n\
             ~/iptables-nft - priority 10\n follower ip6tables: ~/ip6tables-nft\n\
             Current `best' version is ~/iptables-nft.\n"
        );
    }

    #[test]
    fn unset_followers_and_families_are_shown() {
        let fixture = Fixture::new();
        fixture.two();
        assert_eq!(
            fixture.ok("--display x"),
            "x - status is auto.\n link currently points to ~/b\n\
             ~/a - priority 10\n follower x6: ~/a6\n follower xs: (null)\n\
             ~/b - family new priority 20\n follower x6: (null)\n follower xs: ~/bs\n\
             Current `best' version is ~/b.\n"
        );
        assert_eq!(fixture.link("bin/x"), Some(fixture.path("alt/x")));
        assert_eq!(fixture.link("alt/xs"), Some(fixture.path("bs")));
        assert_eq!(fixture.link("bin/x6"), None);
    }

    #[test]
    fn the_state_file_begins_with_mode_and_link() {
        let fixture = Fixture::new();
        fixture.two();
        let state = fs::read_to_string(fixture.path("state/x")).unwrap();
        let here = fixture.0.path().display().to_string();
        assert!(
            state
                .replace(&here, "~")
                .starts_with("auto\n~/bin/x\nx6\n~/bin/x6\nxs\n~/bin/xs\n\n~/a\n10\n~/a6\n\n~/b\n@new@20\n"),
            "{state}"
        );
    }

    #[test]
    fn set_is_silent_and_makes_it_manual() {
        let fixture = Fixture::new();
        fixture.two();
        assert_eq!(fixture.ok("--set x ~/a"), "");
        assert_eq!(fixture.ok("--set x ~/a"), "");
        assert!(fixture.ok("--display x").starts_with("x - status is manual.\n"));
        assert_eq!(fixture.link("alt/x"), Some(fixture.path("a")));
        assert_eq!(fixture.link("bin/xs"), None);
        fixture.ok("--set x new");
        assert_eq!(fixture.link("alt/x"), Some(fixture.path("b")));
        fixture.ok("--set x ~/a");
        fixture.ok("--auto x");
        assert!(fixture.ok("--display x").starts_with("x - status is auto.\n"));
        assert_eq!(fixture.link("alt/x"), Some(fixture.path("b")));
    }

    #[test]
    fn what_is_unknown_is_2() {
        let fixture = Fixture::new();
        fixture.two();
        assert_eq!(fixture.run("--display y"), (2, String::new(), String::new()));
        let (code, _, said) = fixture.run("--set x6 ~/a6");
        assert_eq!(code, 2);
        assert_eq!(said, "cannot access ~/state/x6: No such file or directory\n");
        let (code, _, said) = fixture.run("--set x ~/c");
        assert_eq!(code, 2);
        assert_eq!(said, "~/c has not been configured as an alternative for x\n");
        assert_eq!(fixture.run("--remove x ~/c").0, 2);
        for words in ["--query x", "--get-selections", "--list x", "--skip-auto", ""] {
            let (code, stdout, said) = fixture.run(words);
            assert_eq!((code, stdout.as_str()), (2, ""), "{words}");
            assert!(said.contains("usage: alternatives --install"), "{words}");
        }
    }

    #[test]
    fn installing_again_drops_followers() {
        let fixture = Fixture::new();
        fixture.two();
        fixture.ok("--install ~/bin/x x ~/b 20");
        assert!(!fixture.ok("--display x").contains("~/bs"));
        assert_eq!(fixture.link("bin/xs"), None);
    }

    #[test]
    fn installing_again_with_less_priority_makes_it_manual() {
        let fixture = Fixture::new();
        fixture.two();
        fixture.ok("--install ~/bin/x x ~/b 5");
        let shown = fixture.ok("--display x");
        assert!(shown.starts_with("x - status is manual.\n link currently points to ~/b\n"));
        assert!(shown.ends_with("Current `best' version is ~/a.\n"));
    }

    #[test]
    fn removing_goes_back_to_the_best_and_the_last_one_takes_all_along() {
        let fixture = Fixture::new();
        fixture.two();
        fixture.ok("--remove x ~/b");
        assert_eq!(fixture.link("alt/x"), Some(fixture.path("a")));
        assert!(fixture.ok("--display x").starts_with("x - status is auto.\n"));
        fixture.ok("--remove x ~/a");
        assert_eq!(fixture.link("bin/x"), None);
        assert_eq!(fixture.link("bin/x6"), None);
        assert!(!fixture.path("state/x").exists());
    }

    #[test]
    fn a_file_in_the_place_of_the_link_stays() {
        let fixture = Fixture::new();
        fs::write(fixture.path("bin/x"), "mine").unwrap();
        let (code, _, said) = fixture.run("--install ~/bin/x x ~/a 10");
        assert_eq!(code, 0);
        assert!(said.contains("exists and it is not a symlink"), "{said}");
        assert!(Path::new(&fixture.path("bin/x")).is_file());
    }
}
