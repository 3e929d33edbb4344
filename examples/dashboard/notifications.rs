//! What everybody should know.

use helios::prelude::*;
use serde::{Deserialize, Serialize};

use super::clock;
use super::recent::Recent;
use super::store::{Store, Stored};

pub(crate) type Notices = Recent<Notice, 30>;

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Notice {
    id: u64,
    kind: Kind,
    text: String,
    /// Milliseconds since 1970.
    at: u64,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Info,
    Done,
    Cancelled,
}

impl Stored for Notices {
    const TOPIC: &'static str = "notifications";
    type Item = Notice;
}

#[derive(Injectable)]
#[inject(on_start = announce)]
pub(crate) struct Notifications {
    notices: Arc<Store<Notices>>,
}

impl Notifications {
    async fn announce(&self) -> Result<(), HttpError> {
        self.notify(Kind::Info, "The server has started".into())
            .await
    }

    /// The text is ours, so its length is.
    pub(crate) async fn notify(&self, kind: Kind, text: String) -> Result<(), HttpError> {
        let noted = move |notices: &mut Notices| {
            let id = notices.newest().map_or(1, |newest| newest.id + 1);
            let at = clock::now();
            let notice = Notice { id, kind, text, at };
            notices.push(notice.clone());
            Ok(Some(notice))
        };
        self.notices.change(noted).await?;
        Ok(())
    }
}
