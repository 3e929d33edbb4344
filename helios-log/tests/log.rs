//! Tests of the log from outside, as a hub uses it.
#![allow(clippy::unwrap_used)]

#[path = "log/support.rs"]
mod support;

#[path = "log/app.rs"]
mod app;
#[path = "log/damage.rs"]
mod damage;
#[path = "log/folder.rs"]
mod folder;
#[path = "log/full.rs"]
mod full;
#[path = "log/keeping.rs"]
mod keeping;
#[path = "log/kill.rs"]
mod kill;
#[path = "log/members.rs"]
mod members;
#[path = "log/sequence.rs"]
mod sequence;
