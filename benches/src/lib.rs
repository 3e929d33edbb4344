//! What the programs here share: the apps that are measured, and the cores on which that is done.

pub mod cores;
pub mod hello;
pub mod routes;
