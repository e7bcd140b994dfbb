//! What all sources together say about one destination; the first that names a keyword wins.

use std::time::Duration;

/// One line of a configuration, or one `-o`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// In lower case.
    pub(super) keyword: String,
    /// As it is written.
    pub(super) value: String,
    /// What the value consists of, without quotes and comments.
    words: Vec<String>,
}

impl Setting {
    /// With a value that is meant to the letter.
    pub(super) fn new(keyword: &str, value: &str) -> Self {
        Self {
            keyword: keyword.to_ascii_lowercase(),
            value: value.to_owned(),
            words: vec![value.to_owned()],
        }
    }

    /// `Keyword value`, `Keyword=value` or `Keyword = value`, as a person writes it.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (keyword, value) = halves(line)?;
        let mut setting = Self::new(keyword, value);
        setting.words = if TO_THE_LETTER.contains(&setting.keyword.as_str()) {
            vec![unquoted(value).to_owned()]
        } else {
            words(value)?
        };
        (!setting.words.is_empty()).then_some(setting)
    }

    /// A line of `ssh -G`, which quotes nothing.
    pub(super) fn printed(line: &str) -> Option<Self> {
        let (keyword, value) = halves(line)?;
        let mut setting = Self::new(keyword, value);
        if LISTS.contains(&setting.keyword.as_str()) {
            setting.words = value.split_whitespace().map(str::to_owned).collect();
        }
        Some(setting)
    }

    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    fn first(&self) -> String {
        self.words.first().cloned().unwrap_or_default()
    }
}

/// What a shell reads later.
const TO_THE_LETTER: &[&str] = &[
    "knownhostscommand",
    "localcommand",
    "proxycommand",
    "remotecommand",
];

const LISTS: &[&str] = &["globalknownhostsfile", "userknownhostsfile"];

fn halves(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let end = line.find(|c: char| c.is_whitespace() || c == '=')?;
    let (keyword, rest) = line.split_at_checked(end)?;
    let rest = rest.trim_start();
    let value = rest.strip_prefix('=').unwrap_or(rest).trim();
    (!keyword.is_empty() && !value.is_empty()).then_some((keyword, value))
}

/// The words of a value, as `ssh` takes them apart: both kinds of quotes keep blanks together, a backslash stands
/// before a quote, a backslash or a blank, and a `#` at the beginning of a word ends the line. `None`: a quote is
/// not closed.
pub(super) fn words(value: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = value.chars().peekable();
    while let Some(character) = characters.next() {
        let escapes = |next: &char| matches!(next, '"' | '\'' | '\\') || quote.is_none() && *next == ' ';
        match character {
            '\\' if characters.peek().is_some_and(escapes) => {
                word.get_or_insert_default().extend(characters.next());
            }
            c if quote == Some(c) => quote = None,
            '"' | '\'' if quote.is_none() => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            '#' if quote.is_none() && word.is_none() => break,
            blank if blank.is_whitespace() && quote.is_none() => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// `StrictHostKeyChecking`; a question to the user (`ask`) is a refusal here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Strictness {
    #[default]
    Refuse,
    /// An unknown key is accepted and written down.
    AcceptNew,
    /// An unknown key is accepted.
    Accept,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Family {
    #[default]
    Any,
    V4,
    V6,
}

/// How to get there, when not straight.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Way {
    #[default]
    Direct,
    /// Through other machines, the nearest first.
    Jump(Vec<String>),
    Command(String),
}

/// The methods of authentication that are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Methods {
    pub(super) public_key: bool,
    pub(super) password: bool,
    pub(super) keyboard_interactive: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) host_name: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) user: Option<String>,
    pub(super) identity_files: Vec<String>,
    pub(super) certificate_files: Vec<String>,
    pub(super) identities_only: bool,
    pub(super) identity_agent: Option<String>,
    pub(super) way: Way,
    pub(super) strictness: Strictness,
    pub(super) user_known_hosts: Option<Vec<String>>,
    pub(super) global_known_hosts: Option<Vec<String>>,
    pub(super) hash_known_hosts: bool,
    pub(super) host_key_alias: Option<String>,
    pub(super) alive_interval: Option<Duration>,
    pub(super) alive_count: Option<usize>,
    pub(super) methods: Methods,
    pub(super) family: Family,
}

impl Options {
    /// The error is a sentence about the value that is wrong.
    pub(super) fn from_settings(settings: &[Setting]) -> Result<Self, String> {
        let first = |keyword: &str| first(settings, keyword);
        let all = |keyword: &str| all(settings, keyword);
        Ok(Self {
            host_name: first("hostname"),
            port: first("port").map(|port| read_port(&port)).transpose()?,
            user: first("user"),
            identity_files: all("identityfile"),
            certificate_files: all("certificatefile"),
            identities_only: first("identitiesonly").is_some_and(|value| is_yes(&value)),
            identity_agent: first("identityagent"),
            way: way(settings),
            strictness: strictness(first("stricthostkeychecking").as_deref())?,
            user_known_hosts: list(settings, "userknownhostsfile"),
            global_known_hosts: list(settings, "globalknownhostsfile"),
            hash_known_hosts: first("hashknownhosts").is_some_and(|value| is_yes(&value)),
            host_key_alias: first("hostkeyalias"),
            alive_interval: first("serveraliveinterval")
                .and_then(|value| read_time(&value))
                .filter(|interval| !interval.is_zero()),
            alive_count: first("serveralivecountmax").and_then(|value| value.parse().ok()),
            methods: methods(settings),
            family: family(first("addressfamily").as_deref()),
        })
    }
}

fn methods(settings: &[Setting]) -> Methods {
    let keyboard = first(settings, "kbdinteractiveauthentication")
        .or_else(|| first(settings, "challengeresponseauthentication"));
    let preferred = first(settings, "preferredauthentications");
    let is_allowed = |method: &str, switch: Option<&str>| {
        let wanted = preferred
            .as_deref()
            .is_none_or(|list| list.split(',').any(|name| name.trim() == method));
        wanted && !is_no(switch)
    };
    Methods {
        public_key: is_allowed("publickey", first(settings, "pubkeyauthentication").as_deref()),
        password: is_allowed("password", first(settings, "passwordauthentication").as_deref()),
        keyboard_interactive: is_allowed("keyboard-interactive", keyboard.as_deref()),
    }
}

fn first(settings: &[Setting], keyword: &str) -> Option<String> {
    settings
        .iter()
        .find(|setting| setting.keyword == keyword)
        .map(Setting::first)
}

fn all(settings: &[Setting], keyword: &str) -> Vec<String> {
    let mut values = Vec::new();
    for setting in settings.iter().filter(|setting| setting.keyword == keyword) {
        let value = setting.first();
        if !values.contains(&value) {
            values.push(value);
        }
    }
    values
}

fn list(settings: &[Setting], keyword: &str) -> Option<Vec<String>> {
    let setting = settings.iter().find(|setting| setting.keyword == keyword)?;
    Some(setting.words.clone())
}

fn unquoted(value: &str) -> &str {
    value
        .strip_prefix('"')
        .and_then(|inner| inner.strip_suffix('"'))
        .unwrap_or(value)
}

/// `ProxyJump` and `ProxyCommand` stand for one another: whichever comes first decides.
fn way(settings: &[Setting]) -> Way {
    let Some(setting) = settings
        .iter()
        .find(|setting| matches!(setting.keyword.as_str(), "proxyjump" | "proxycommand"))
    else {
        return Way::Direct;
    };
    if setting.first().eq_ignore_ascii_case("none") {
        return Way::Direct;
    }
    if setting.keyword == "proxycommand" {
        return Way::Command(setting.first());
    }
    // Blanks between the machines are nothing that `ssh` takes, and nothing that could mean anything else.
    let hops = setting.words.concat();
    Way::Jump(hops.split(',').map(str::to_owned).collect())
}

fn strictness(value: Option<&str>) -> Result<Strictness, String> {
    let Some(value) = value else {
        return Ok(Strictness::Refuse);
    };
    match value.to_ascii_lowercase().as_str() {
        "yes" | "true" | "ask" => Ok(Strictness::Refuse),
        "accept-new" => Ok(Strictness::AcceptNew),
        "no" | "off" | "false" => Ok(Strictness::Accept),
        _ => Err(format!(
            "StrictHostKeyChecking is `{value}`, which is none of yes, ask, accept-new, no"
        )),
    }
}

fn family(value: Option<&str>) -> Family {
    match value {
        Some("inet") => Family::V4,
        Some("inet6") => Family::V6,
        _ => Family::Any,
    }
}

fn read_port(value: &str) -> Result<u16, String> {
    value
        .parse()
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| format!("the port `{value}` is not a number from 1 to 65535"))
}

/// `90`, `15s`, `2m`, `1h30m`.
fn read_time(value: &str) -> Option<Duration> {
    let mut seconds: u64 = 0;
    let mut number = String::new();
    for character in value.chars() {
        if character.is_ascii_digit() {
            number.push(character);
            continue;
        }
        let factor = match character.to_ascii_lowercase() {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return None,
        };
        let amount: u64 = std::mem::take(&mut number).parse().ok()?;
        seconds = seconds.checked_add(amount.checked_mul(factor)?)?;
    }
    if !number.is_empty() {
        seconds = seconds.checked_add(number.parse().ok()?)?;
    }
    Some(Duration::from_secs(seconds))
}

fn is_yes(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "yes" | "true")
}

fn is_no(value: Option<&str>) -> bool {
    value.is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "no" | "false"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(lines: &[&str]) -> Result<Options, String> {
        let settings: Vec<_> = lines.iter().filter_map(|line| Setting::parse(line)).collect();
        Options::from_settings(&settings)
    }

    #[test]
    fn the_first_of_a_keyword_wins() {
        let options = options(&["Port=2200", "port 22", "User \"an admin\""]).unwrap();
        assert_eq!(options.port, Some(2200));
        assert_eq!(options.user.as_deref(), Some("an admin"));
    }

    #[test]
    fn values_are_words() {
        let words = |text: &str| words(text).unwrap();
        assert_eq!(words("22 # the usual"), ["22"]);
        assert_eq!(words("a#b 'c d' \"e f\"g h\\ i"), ["a#b", "c d", "e fg", "h i"]);
        assert_eq!(
            words(r#""a \" \\ b" 'it\'s' c:\d"#),
            [r#"a " \ b"#, "it's", r"c:\d"]
        );
        assert_eq!(words("'' # nothing"), [""]);
        assert_eq!(super::words("'open"), None);
        assert_eq!(Setting::parse("Port # none"), None);
        let letters = options(&["ProxyCommand nc '%h' %p # x"]).unwrap();
        assert_eq!(letters.way, Way::Command("nc '%h' %p # x".to_owned()));
    }

    #[test]
    fn what_ssh_prints_is_meant_to_the_letter() {
        let lines = [
            "user an admin",
            "identityfile ~/my #key",
            "userknownhostsfile /a /b",
        ];
        let settings: Vec<_> = lines.iter().filter_map(|line| Setting::printed(line)).collect();
        let options = Options::from_settings(&settings).unwrap();
        assert_eq!(options.user.as_deref(), Some("an admin"));
        assert_eq!(options.identity_files, ["~/my #key"]);
        assert_eq!(options.user_known_hosts.unwrap(), ["/a", "/b"]);
    }

    #[test]
    fn identity_files_add_up() {
        let options = options(&["IdentityFile a", "IdentityFile b", "IdentityFile a"]).unwrap();
        assert_eq!(options.identity_files, ["a", "b"]);
    }

    #[test]
    fn jump_and_command_exclude_one_another() {
        assert_eq!(
            options(&["ProxyJump a, b", "ProxyCommand nc %h %p"]).unwrap().way,
            Way::Jump(vec!["a".to_owned(), "b".to_owned()])
        );
        assert_eq!(
            options(&["ProxyCommand none", "ProxyJump a"]).unwrap().way,
            Way::Direct
        );
    }

    #[test]
    fn preferred_authentications_leave_the_others_out() {
        let methods = options(&["PreferredAuthentications publickey,password"])
            .unwrap()
            .methods;
        assert!(methods.public_key && methods.password && !methods.keyboard_interactive);
    }

    #[test]
    fn files_are_words() {
        let options = options(&["UserKnownHostsFile /a \"/b c\" /d"]).unwrap();
        assert_eq!(
            options.user_known_hosts,
            Some(vec!["/a".to_owned(), "/b c".to_owned(), "/d".to_owned()])
        );
    }

    #[test]
    fn wrong_values_are_told() {
        assert!(options(&["Port zero"]).unwrap_err().contains("zero"));
        assert!(options(&["StrictHostKeyChecking maybe"]).is_err());
    }

    #[test]
    fn times_have_units() {
        assert_eq!(read_time("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(read_time("15"), Some(Duration::from_secs(15)));
        assert_eq!(read_time("x"), None);
    }
}
