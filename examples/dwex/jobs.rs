//! The progress of a job, whose id is in the path.

use helios::prelude::*;
use serde::Serialize;

#[derive(SseEvents)]
#[sse(rename_all = "kebab-case")]
enum JobEvent {
    Start { progress: u8, status: &'static str },
    Progress(Job),
    Complete(Job),
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Job {
    job_id: String,
    progress: u8,
    status: &'static str,
}

impl Job {
    fn new(job_id: &str, progress: u8, status: &'static str) -> Self {
        let job_id = job_id.to_owned();
        Self {
            job_id,
            progress,
            status,
        }
    }
}

#[derive(Injectable)]
pub(crate) struct Jobs;

#[controller(prefix = "jobs")]
impl Jobs {
    #[sse("progress/{job_id}", events = JobEvent)]
    fn progress(&self, #[param] job_id: String) -> impl Stream<Item = SseEvent> {
        stream! {
            yield JobEvent::Start { progress: 0, status: "started" }.into_sse_event();
            for progress in (0..=100).step_by(10) {
                let running = JobEvent::Progress(Job::new(&job_id, progress, "running"));
                yield running.into_sse_event().id(format!("{job_id}-{progress}"));
                sleep(Duration::from_millis(500)).await;
            }
            yield JobEvent::Complete(Job::new(&job_id, 100, "completed")).into_sse_event();
        }
    }
}
