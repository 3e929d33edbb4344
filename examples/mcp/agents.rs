//! The guard, which identifies an agent by its bearer token.

use helios::prelude::*;
use http::HeaderValue;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};

/// A fixed list. A real app would keep a table of hashed tokens.
const TOKENS: [(&str, &str); 2] = [("agent-token", "agent"), ("robot-token", "robot")];

/// The agent that calls. A tool finds it in its request.
#[derive(Clone)]
pub(crate) struct Agent(pub(crate) &'static str);

/// Lets in requests with a known token. It checks each request, also within a session.
#[derive(Injectable)]
pub(crate) struct Known;

impl Guard for Known {
    async fn check(&self, request: &mut RequestContext) -> Result<(), HttpError> {
        let header = request.header(AUTHORIZATION.as_str());
        let token = header.and_then(|header| header.strip_prefix("Bearer "));
        let known = TOKENS.into_iter().find(|(known, _)| token == Some(known));
        let (_, name) = known.ok_or_else(|| {
            HttpError::unauthorized("send a bearer token")
                .with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
        })?;
        request.extensions_mut().insert(Agent(name));
        Ok(())
    }
}
