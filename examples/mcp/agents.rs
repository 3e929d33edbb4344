//! The guard: a bearer token says which agent it is.

use helios::prelude::*;
use http::HeaderValue;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};

/// What would be a table of hashed tokens is a list here.
const TOKENS: [(&str, &str); 2] = [("agent-token", "agent"), ("robot-token", "robot")];

/// Who calls; a tool finds it in its request.
#[derive(Clone)]
pub(crate) struct Agent(pub(crate) &'static str);

/// Lets those pass whose token is known. It is asked at each request, of a session too.
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
