//! Asking the person who called us.

use std::sync::Arc;

use super::Executor;

/// Shows a text to a person and gives what they typed; whether it is shown as they type. `None`: no answer.
pub type Asker = Arc<dyn Fn(&str, bool) -> Option<String> + Send + Sync>;

impl Executor {
    /// With a way to ask the person, for `Settings::interactive`.
    #[must_use]
    pub fn asking(mut self, asker: Asker) -> Self {
        self.asker = Some(asker);
        self
    }

    /// Whether somebody is there to be asked.
    pub(in crate::run) fn can_ask(&self) -> bool {
        self.settings.interactive && self.asker.is_some()
    }

    /// Asks the person who called us; `None`: there was no answer.
    pub(in crate::run) fn ask(
        &self,
        text: &str,
        echo: bool,
    ) -> impl Future<Output = Option<String>> + Send + 'static {
        let asker = self.asker.clone();
        let secrets = self.engine.secrets().clone();
        let text = secrets.mask(text).into_owned();
        async move {
            let asker = asker?;
            // A person takes their time, which is nobody else's.
            let typed = tokio::task::spawn_blocking(move || asker(&text, echo))
                .await
                .ok()??;
            if !echo {
                secrets.add(&typed);
            }
            Some(typed)
        }
    }
}
