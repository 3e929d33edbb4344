//! The tools, with rmcp's macros.

use helios::prelude::{Duration, sleep};
use http::request::Parts;
use rmcp::handler::server::tool::Extension;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{ErrorData, ProgressNotificationParam};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler, tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::Deserialize;

use super::agents::Agent;
use super::calls::{Calls, Running};

/// The most dice, and the most steps.
const MOST: u32 = 100;

/// How long a step takes.
const STEP: Duration = Duration::from_millis(250);

#[derive(Clone)]
pub(crate) struct Tools {
    calls: Calls,
}

#[derive(Deserialize, JsonSchema)]
struct Dice {
    /// How many dice to roll, up to 100.
    dice: u32,
}

#[derive(Deserialize, JsonSchema)]
struct Steps {
    /// The number to count to, at most 100.
    to: u32,
}

#[tool_router]
impl Tools {
    pub(crate) fn new(calls: Calls) -> Self {
        Self { calls }
    }

    #[tool(description = "Rolls dice.")]
    async fn roll(
        &self,
        Parameters(Dice { dice }): Parameters<Dice>,
        Extension(request): Extension<Parts>,
    ) -> Result<String, ErrorData> {
        let call = self.begin(&request, format!("roll {dice}"), bounded(dice)?)?;
        let rolled: Vec<_> = (0..dice)
            .map(|_| fastrand::u32(1..=6).to_string())
            .collect();
        call.done(dice);
        Ok(rolled.join(" "))
    }

    #[tool(description = "Counts to a number, and reports its progress.")]
    async fn count(
        &self,
        Parameters(Steps { to }): Parameters<Steps>,
        Extension(request): Extension<Parts>,
        context: RequestContext<RoleServer>,
    ) -> Result<String, ErrorData> {
        let call = self.begin(&request, format!("count to {to}"), bounded(to)?)?;
        let token = context.meta.get_progress_token();
        for step in 1..=to {
            tokio::select! {
                () = sleep(STEP) => {}
                // Only this stops a tool, so every long one has to watch it.
                () = context.ct.cancelled() => return Err(cancelled()),
            }
            call.done(step);
            if let Some(token) = &token {
                let progress = ProgressNotificationParam::new(token.clone(), step.into());
                let progress = progress
                    .with_total(to.into())
                    .with_message(format!("at {step}"));
                // This fails if the client has disconnected. The token above will report that.
                let _ = context.peer.notify_progress(progress).await;
            }
        }
        Ok(format!("counted to {to}"))
    }
}

impl Tools {
    fn begin(&self, request: &Parts, what: String, steps: u32) -> Result<Running, ErrorData> {
        let agent = request.extensions.get::<Agent>();
        let Agent(agent) = agent.ok_or_else(|| ErrorData::internal_error("no guard", None))?;
        Ok(self.calls.begin(agent, what, steps))
    }
}

fn cancelled() -> ErrorData {
    ErrorData::internal_error("cancelled", None)
}

fn bounded(count: u32) -> Result<u32, ErrorData> {
    match count {
        1..=MOST => Ok(count),
        _ => Err(ErrorData::invalid_params(
            format!("1 to {MOST}, please"),
            None,
        )),
    }
}

#[tool_handler]
impl ServerHandler for Tools {}
