//! The guide: how to use Helios, chapter by chapter. Every piece of code in it is compiled and run as a test.

#[doc = include_str!("guide/streams.md")]
pub mod streams {}
