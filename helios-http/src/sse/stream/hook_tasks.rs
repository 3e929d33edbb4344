//! Runs the hooks that are called after the request: error, reset, snapshot and close hooks. The call itself runs the
//! connection hooks.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use helios_core::error::HttpError;
use helios_core::sse::{CloseReason, SseError, SseReset, SseSnapshot};
use tokio::sync::SemaphorePermit;
use tokio::task::yield_now;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::failure::log_failure;
use crate::panics::caught_in;
use crate::sse::stream::handle::SseStream;
use crate::sse::stream::route::{StreamRequest, StreamRoute};
use crate::sse::streams::Streams;

/// Runs the close hooks of the controllers that accepted the stream, innermost first. They run in their own task,
/// because the stream's task may have ended with its client.
pub(crate) fn spawn_close(client: SseStream, request: &StreamRequest, reason: CloseReason) {
    let streams = Arc::clone(&request.route.streams);
    let accepted = request.accepted.load(Ordering::Acquire);
    let hooks: Vec<_> = request.route.hooks.iter().take(accepted).cloned().collect();
    let (Some(runtime), false) = (streams.runtime(), hooks.is_empty()) else {
        return;
    };
    let tasks = streams.hook_tasks.clone();
    tasks.spawn_on(
        async move {
            for hook in hooks.into_iter().rev() {
                let client = client.clone();
                let call = async move {
                    match hook.close(client, reason) {
                        Some(hook) => hook.await,
                        None => Ok(()),
                    }
                };
                run_in_task(&streams, "on_sse_close", call).await;
            }
        },
        &runtime,
    );
}

/// Runs the error hooks, innermost first, and waits for them.
pub(crate) async fn run_error(client: &SseStream, request: &StreamRequest, error: &SseError) {
    let streams = &request.route.streams;
    for hook in request.route.hooks.iter().rev() {
        let (hook, client, error) = (Arc::clone(hook), client.clone(), error.clone());
        let call = async move {
            match hook.error(client, &error) {
                Some(hook) => hook.await,
                None => Ok(()),
            }
        };
        run_in_task(streams, "on_sse_error", call).await;
    }
}

/// How often a stream yields to the others, at most, before it requests its turn.
const LONGEST_STEP_BACK: u8 = 8;

/// The arguments of the reset and snapshot hooks.
pub(crate) struct Question {
    pub(crate) snapshot: SseSnapshot,
    pub(crate) reset: Option<SseReset>,
    /// Whether all streams may be answered at the same time, so that this one waits for its turn.
    pub(crate) is_for_all: bool,
}

/// Runs the reset and snapshot hooks, innermost first, in their own task, which ends with the stream. Then the client
/// reads on.
pub(crate) fn spawn_answer(client: SseStream, request: &StreamRequest, question: Question) {
    let streams = &request.route.streams;
    let Some(runtime) = streams.runtime() else {
        client.state.hook_failed();
        return;
    };
    let route = Arc::clone(&request.route);
    let tasks = streams.hook_tasks.clone();
    tasks.spawn_on(
        async move {
            tokio::select! {
                _ = client.closed() => {}
                answered = answer(&route, &client, &question) => match answered {
                    true => client.state.hooks_answered(),
                    false => client.state.hook_failed(),
                },
            }
        },
        &runtime,
    );
}

/// Waits for a turn among many streams. Dropping the permit ends the turn. The streams of a topic are woken in the same
/// order each time, so without the random yields the last one would always wait longest.
async fn turn(streams: &Streams) -> Option<SemaphorePermit<'_>> {
    for _ in 0..fastrand::u8(..LONGEST_STEP_BACK) {
        yield_now().await;
    }
    // The semaphore is never closed.
    streams.epoch_answers.acquire().await.ok()
}

/// Runs the hooks. Returns false if one failed. The timeout of each begins when it is called.
async fn answer(route: &StreamRoute, client: &SseStream, question: &Question) -> bool {
    let _turn = match question.is_for_all {
        true => turn(&route.streams).await,
        false => None,
    };
    let limit = route.hub().options().hook_timeout;
    for hook in route.hooks.iter().rev() {
        // A controller has only one of the two.
        let asked = match hook.snapshot(client.clone(), &question.snapshot) {
            Some(hook) => Some(("on_sse_snapshot", hook)),
            None => question
                .reset
                .as_ref()
                .and_then(|reset| hook.reset(client.clone(), reset))
                .map(|hook| ("on_sse_reset", hook)),
        };
        let Some((name, hook)) = asked else { continue };
        let result = caught_in(name, timeout(limit, hook)).await;
        if !succeeded(name, limit, result) {
            return false;
        }
    }
    true
}

/// Runs a hook in its own task. It completes even if the stream is dropped meanwhile, and its panic stays its own.
async fn run_in_task(
    streams: &Streams,
    name: &'static str,
    hook: impl Future<Output = Result<(), HttpError>> + Send + 'static,
) {
    let Some(runtime) = streams.runtime() else {
        return;
    };
    let limit = streams.hub.options().hook_timeout;
    let task = streams
        .hook_tasks
        .spawn_on(caught_in(name, timeout(limit, hook)), &runtime);
    // A task is cancelled only with its runtime.
    if let Ok(result) = task.await {
        succeeded(name, limit, result);
    }
}

/// Returns whether a hook succeeded. Failures are logged.
fn succeeded(
    name: &'static str,
    limit: Duration,
    result: Option<Result<Result<(), HttpError>, Elapsed>>,
) -> bool {
    match result {
        Some(Ok(Ok(()))) => return true,
        Some(Ok(Err(error))) => {
            log_failure!(warn, "an SSE hook failed", &error, hook = name);
        }
        Some(Err(late)) => {
            let limit = format!("{limit:?}");
            log_failure!(
                error,
                "an SSE hook timed out",
                &late,
                hook = name,
                limit = limit
            );
        }
        // The panic is logged already.
        None => {}
    }
    false
}
