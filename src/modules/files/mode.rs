//! Permission bits as Ansible writes them: octal text, an integer, or symbolic (`u=rw,g-w,o+X`).

use serde::{Deserialize, Deserializer, de};

use crate::vars::Value;

/// What `mode:` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    Bits(u32),
    Symbolic(Vec<Clause>),
    /// As the source has it: `copy` and `template` only.
    Preserve,
}

/// One part between commas: `ug+r-x`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// `None`: everybody, as far as the umask lets.
    users: Option<String>,
    actions: Vec<(char, String)>,
}

/// What a symbolic mode is applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    pub bits: u32,
    pub directory: bool,
    pub umask: u32,
}

impl Mode {
    pub fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Int(bits) => Ok(Self::of_bits(*bits)),
            Value::Bool(bit) => Ok(Self::of_bits(i64::from(*bit))),
            Value::String(text) if text.trim().is_empty() => Ok(Self::Symbolic(Vec::new())),
            Value::String(text) => Self::parse(text.trim()).ok_or_else(|| wrong(text)),
            other => Err(wrong(&format!("a {}", other.type_name()))),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if text == "preserve" {
            return Some(Self::Preserve);
        }
        let digits = text.strip_prefix("0o").unwrap_or(text);
        if let Ok(bits) = i64::from_str_radix(digits, 8) {
            return Some(Self::of_bits(bits));
        }
        let clauses: Option<Vec<Clause>> = text.split(',').map(Clause::parse).collect();
        clauses.map(Self::Symbolic)
    }

    /// Of a number Ansible takes the bits that a mode has, whatever else is in it.
    fn of_bits(bits: i64) -> Self {
        Self::Bits(u32::try_from(bits & 0o7777).unwrap_or_default())
    }

    /// The bits that something with these bits should have.
    pub fn bits(&self, base: Base) -> u32 {
        match self {
            Self::Bits(bits) => *bits,
            Self::Symbolic(clauses) => clauses
                .iter()
                .fold(base.bits, |bits, clause| clause.apply(Base { bits, ..base })),
            Self::Preserve => base.bits,
        }
    }

    /// Whether [`bits`](Self::bits) can be computed without the umask and without what is there.
    pub fn is_symbolic(&self) -> bool {
        matches!(self, Self::Symbolic(_))
    }
}

fn wrong(found: &str) -> String {
    format!("must be octal (`0644`) or symbolic (`u=rw,g=r,o=r`), not `{found}`")
}

impl Clause {
    fn parse(text: &str) -> Option<Self> {
        let start = text.find(['+', '-', '='])?;
        let (users, mut rest) = text.split_at(start);
        let users = match users {
            "" => None,
            "a" => Some("ugo".to_string()),
            _ if users.chars().all(|c| "ugo".contains(c)) => Some(users.to_string()),
            _ => return None,
        };
        let mut actions = Vec::new();
        while let Some(operator) = rest.chars().next() {
            let end = rest[1..].find(['+', '-', '=']).map_or(rest.len(), |at| at + 1);
            let permissions = &rest[1..end];
            if !permissions.chars().all(|c| "rwxXstugo".contains(c)) {
                return None;
            }
            actions.push((operator, permissions.to_string()));
            rest = &rest[end..];
        }
        Some(Self { users, actions })
    }

    fn apply(&self, base: Base) -> u32 {
        let allowed = match self.users {
            Some(_) => 0o7777,
            None => !base.umask & 0o7777,
        };
        let users = self.users.as_deref().unwrap_or("ugo");
        let mut bits = base.bits;
        for (operator, permissions) in &self.actions {
            for user in users.chars() {
                bits = act(*operator, user, permissions, allowed, Base { bits, ..base });
            }
        }
        bits
    }
}

fn act(operator: char, user: char, permissions: &str, allowed: u32, base: Base) -> u32 {
    let given = permissions
        .chars()
        .fold(0, |given, c| given | permission(user, c, allowed, base));
    match operator {
        '+' => base.bits | given,
        '-' => base.bits & !given,
        _ => (base.bits & !all_of(user)) | given,
    }
}

/// Everything that `=` replaces for one kind of user.
fn all_of(user: char) -> u32 {
    match user {
        'u' => 0o4700,
        'g' => 0o2070,
        _ => 0o1007,
    }
}

fn permission(user: char, letter: char, allowed: u32, base: Base) -> u32 {
    let shift = shift(user);
    match letter {
        'r' => (4 << shift) & allowed,
        'w' => (2 << shift) & allowed,
        'x' => (1 << shift) & allowed,
        // As Ansible has it: the umask does not bear on `X`.
        'X' if base.directory || base.bits & 0o111 != 0 => 1 << shift,
        's' if user == 'u' => 0o4000,
        's' if user == 'g' => 0o2000,
        't' if user == 'o' => 0o1000,
        'u' | 'g' | 'o' => ((base.bits >> self::shift(letter)) & 7) << shift,
        _ => 0,
    }
}

fn shift(user: char) -> u32 {
    match user {
        'u' => 6,
        'g' => 3,
        _ => 0,
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(&Value::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(mode: &str, bits: u32, directory: bool) -> u32 {
        let base = Base {
            bits,
            directory,
            umask: 0o022,
        };
        Mode::read(&mode.into()).unwrap().bits(base)
    }

    #[test]
    fn octal_however_it_is_written() {
        for mode in [
            Value::Int(0o644),
            "0644".into(),
            "644".into(),
            "0o644".into(),
            "00644".into(),
        ] {
            assert_eq!(Mode::read(&mode), Ok(Mode::Bits(0o644)), "{mode:?}");
        }
        assert_eq!(Mode::read(&"4755".into()), Ok(Mode::Bits(0o4755)));
        // 644 without a zero or quotes is decimal, as in Ansible.
        assert_eq!(Mode::read(&Value::Int(644)), Ok(Mode::Bits(0o1204)));
    }

    #[test]
    fn symbolic_as_chmod_means_it() {
        assert_eq!(text("u=rw,g=r,o=", 0o777, false), 0o640);
        assert_eq!(text("u+x", 0o644, false), 0o744);
        assert_eq!(text("a-w", 0o666, false), 0o444);
        assert_eq!(text("u=rwX,g=rX,o=rX", 0o600, false), 0o644);
        assert_eq!(text("u=rwX,g=rX,o=rX", 0o600, true), 0o755);
        assert_eq!(text("a+X", 0o100, false), 0o111);
        assert_eq!(text("g=u", 0o740, false), 0o770);
        assert_eq!(text("u+s,g+s,o+t", 0o755, true), 0o7755);
        assert_eq!(text("u=rwx", 0o4755, false), 0o755);
        assert_eq!(text("ug+r-x", 0o111, false), 0o441);
    }

    #[test]
    fn nobody_named_means_everybody_but_for_the_umask() {
        assert_eq!(text("+w", 0o444, false), 0o644);
        assert_eq!(text("=rw", 0o777, false), 0o644);
        assert_eq!(text("+x", 0o644, false), 0o755);
    }

    #[test]
    fn says_what_would_be_right() {
        for bad in ["rwxr-xr-x", "u~x", "99", "u+q", "za+r"] {
            let why = Mode::read(&bad.into()).unwrap_err();
            assert!(why.contains("symbolic"), "{bad}: {why}");
        }
        assert!(Mode::read(&Value::Float(1.5)).is_err());
    }

    #[test]
    fn takes_the_bits_that_a_mode_has() {
        let bits = |value: Value| {
            Mode::read(&value).map(|m| {
                m.bits(Base {
                    bits: 0o640,
                    directory: false,
                    umask: 0,
                })
            })
        };
        for (value, mode) in [
            ("17777".into(), 0o7777),
            ("".into(), 0o640),
            (Value::Int(-1), 0o7777),
            (Value::Int(99_999), 0o3237),
            (Value::Bool(true), 1),
        ] {
            assert_eq!(bits(value.clone()), Ok(mode), "{value:?}");
        }
    }
}
