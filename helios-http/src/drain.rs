//! The drain of answers that are not the app's own: those of mounted services.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// The answers of mounted services that run, from the request to the end of the body.
#[derive(Default)]
pub(crate) struct MountedAnswers {
    draining: CancellationToken,
    over: CancellationToken,
    running: TaskTracker,
    finishing: TaskTracker,
}

/// One of them. As long as it is there, a drain waits for it.
pub(crate) struct MountedAnswer {
    /// The server is going down.
    pub(crate) draining: CancellationToken,
    /// It breaks off.
    pub(crate) over: CancellationToken,
    /// Held until the answer has ended.
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

    /// Waits until none runs, and breaks off those that run longer than this.
    pub(crate) async fn drain(&self, within: Duration) {
        self.draining.cancel();
        if timeout(within, over(&self.running)).await.is_err() {
            self.over.cancel();
        }
    }

    /// Waits until none runs for whose end a drain takes longer than usual.
    pub(crate) async fn wait_until_finished(&self) {
        over(&self.finishing).await;
    }
}

impl MountedAnswer {
    /// It is asked to end, so no drain takes longer than usual for it.
    pub(crate) fn ends_when_asked(&mut self) {
        self.finishing = None;
    }
}

async fn over(answers: &TaskTracker) {
    answers.close();
    answers.wait().await;
}
