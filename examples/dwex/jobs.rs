//! The progress of a job, whose id is in the path.

use helios::prelude::*;

#[derive(Injectable)]
pub(crate) struct Jobs;

#[controller(prefix = "jobs")]
impl Jobs {
    #[sse("progress/{job_id}")]
    fn progress(&self, #[param] job_id: String) -> impl Stream<Item = SseEvent> {
        stream! {
            yield SseEvent::json(json!({ "status": "started", "progress": 0 })).event("start");
            for progress in (0..=100).step_by(10) {
                let data = json!({ "jobId": job_id, "progress": progress, "status": "running" });
                let id = format!("{job_id}-{progress}");
                yield SseEvent::json(data).event("progress").id(id);
                sleep(Duration::from_millis(500)).await;
            }
            let data = json!({ "jobId": job_id, "progress": 100, "status": "completed" });
            yield SseEvent::json(data).event("complete");
        }
    }
}
