//! The calls in progress, and the last ones that have ended.

use std::collections::VecDeque;

use helios::prelude::JsonSchema;
use serde::Serialize;
use tokio::sync::watch;

/// How many calls are kept.
const KEPT: usize = 20;

#[derive(Clone, Serialize, JsonSchema)]
pub(crate) struct Call {
    id: u64,
    agent: &'static str,
    what: String,
    done: u32,
    of: u32,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Running,
    Finished,
    /// Cancelled by its client, or by the end of its session or of the server.
    Cancelled,
}

/// A list of calls. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Calls(watch::Sender<VecDeque<Call>>);

impl Calls {
    pub(crate) fn watch(&self) -> watch::Receiver<VecDeque<Call>> {
        self.0.subscribe()
    }

    /// Adds a call of `of` steps. The call ends when the returned value is dropped, and has finished if all steps are
    /// done by then.
    pub(crate) fn begin(&self, agent: &'static str, what: String, of: u32) -> Running {
        let mut id = 0;
        self.0.send_modify(|calls| {
            id = calls.back().map_or(1, |last| last.id + 1);
            calls.push_back(Call {
                id,
                agent,
                what,
                done: 0,
                of,
                state: State::Running,
            });
            if calls.len() > KEPT {
                calls.pop_front();
            }
        });
        Running {
            calls: self.clone(),
            id,
        }
    }

    fn change(&self, id: u64, change: impl FnOnce(&mut Call)) {
        self.0.send_modify(|calls| {
            if let Some(call) = calls.iter_mut().find(|call| call.id == id) {
                change(call);
            }
        });
    }
}

pub(crate) struct Running {
    calls: Calls,
    id: u64,
}

impl Running {
    pub(crate) fn done(&self, steps: u32) {
        self.calls.change(self.id, |call| call.done = steps);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.calls.change(self.id, |call| {
            call.state = match call.done == call.of {
                true => State::Finished,
                false => State::Cancelled,
            };
        });
    }
}
