//! Live metrics of this process, and a comment every 30 s.

use chrono::Utc;
use helios::prelude::*;
use serde::Serialize;
use sysinfo::{Pid, Process, ProcessesToUpdate, System};

#[derive(SseEvents)]
#[sse(rename_all = "kebab-case")]
enum MonitoringEvent {
    Metrics(Metrics),
}

/// CPU time in milliseconds, resident memory in bytes, uptime in seconds.
#[derive(Serialize, JsonSchema)]
struct Metrics {
    cpu: Option<u64>,
    memory: Option<u64>,
    uptime: Option<u64>,
}

#[derive(Injectable)]
pub(crate) struct Monitoring;

#[controller(prefix = "monitoring")]
impl Monitoring {
    #[sse("metrics", events = MonitoringEvent)]
    fn metrics(&self) -> Result<SseStream, HttpError> {
        let no_metrics = |error| HttpError::internal("there are no metrics").with_source(error);
        let system = System::new().map_err(no_metrics)?;
        let stream = SseStream::new();
        let meter = tokio::spawn(measure(system, stream.clone()));
        stream.on_close(move |_reason| meter.abort());
        Ok(stream)
    }
}

async fn measure(mut system: System, stream: SseStream) -> Result<(), SseError> {
    for second in 1_u64.. {
        sleep(Duration::from_secs(1)).await;
        let metrics = MonitoringEvent::Metrics(metrics(&mut system));
        let id = Utc::now().timestamp_millis();
        stream.send(metrics.into_sse_event().id(id)).await?;
        if second.is_multiple_of(30) {
            stream.send_comment("keep-alive").await?;
        }
    }
    Ok(())
}

/// Returns the CPU time in milliseconds, the resident memory in bytes, and the uptime in seconds.
fn metrics(system: &mut System) -> Metrics {
    let own = Pid::from_u32(std::process::id());
    system.refresh_processes(ProcessesToUpdate::Some(&[own]), true);
    let process = system.process(own);
    Metrics {
        cpu: process.map(Process::accumulated_cpu_time),
        memory: process.map(Process::memory),
        uptime: process.map(Process::run_time),
    }
}
