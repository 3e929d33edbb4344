//! The drain of responses from mounted services.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// The responses of mounted services that are running, from the request to the end of the body.
#[derive(Default)]
pub(crate) struct MountedAnswers {
    draining: CancellationToken,
    over: CancellationToken,
    running: TaskTracker,
    finishing: TaskTracker,
}

/// A running response. While it exists, a drain waits for it.
pub(crate) struct MountedAnswer {
    /// The server is shutting down.
    pub(crate) draining: CancellationToken,
    /// The response breaks off.
    pub(crate) over: CancellationToken,
    /// Held until the response has ended.
    _running: TaskTrackerToken,
    finishing: Option<TaskTrackerToken>,
}

impl MountedAnswers {
    pub(crate) fn begin(&self) -> MountedAnswer {
        MountedAnswer {
            draining: self.draining.clone(),
            over: self.over.clone(),
            _running: self.running.token(),
            finishing: Some(self.finishing.token()),
        }
    }

    /// Waits until all responses have ended, and breaks off those that take longer than `within`.
    pub(crate) async fn drain(&self, within: Duration) {
        self.draining.cancel();
        if timeout(within, over(&self.running)).await.is_err() {
            self.over.cancel();
        }
    }

    /// Waits for the responses that may extend a drain beyond its usual length.
    pub(crate) async fn wait_until_finished(&self) {
        over(&self.finishing).await;
    }
}

impl MountedAnswer {
    /// Says that the response ends by itself when the server shuts down, so no drain takes longer for it.
    pub(crate) fn ends_when_asked(&mut self) {
        self.finishing = None;
    }
}

async fn over(answers: &TaskTracker) {
    answers.close();
    answers.wait().await;
}
