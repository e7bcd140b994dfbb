//! `slurp`: reads a file of the host.
//!
//! ```yaml
//! - slurp:
//!     src: /etc/machine-id
//!   register: id
//! ```
//!
//! Returns `content` in base64, `encoding: base64` and `source`.

use serde::Deserialize;

use super::Module;
use super::files::path::expand;
use super::files::{base64, large};
use crate::host::question::{Contents, FileKind, Read, Stat};
use crate::host::{Halt, Host, Outcome, fail};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slurp {
    #[serde(alias = "path")]
    src: String,
}

impl Module for Slurp {
    const NAME: &'static str = "slurp";

    async fn run(self, host: &Host) -> Result<Outcome, Halt> {
        let src = expand(host, &self.src).await?;
        let (stat, read) = host
            .ask_both(Stat::following(src.as_str()), Read::of(src.as_str()))
            .await?;
        if stat.is_some_and(|s| s.kind == FileKind::Directory) {
            return Err(fail(format!("{src} is a directory, and only a file can be read")));
        }
        let bytes = match read {
            Contents::Bytes(bytes) => bytes,
            Contents::Absent => {
                let failure = fail(format!("file not found: {src}"));
                return Err(host.lacks_file(&src, failure));
            }
            Contents::Unreadable(why) => return Err(fail(format!("{src} cannot be read: {why}"))),
            Contents::TooLarge(_) => large(host, &src).await?,
        };
        Ok(Outcome::new()
            .with("content", base64(&bytes))
            .with("encoding", "base64")
            .with("source", src))
    }
}
