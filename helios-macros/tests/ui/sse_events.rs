//! `#[derive(SseEvents)]`.
#![allow(unused)]

use helios::prelude::*;

#[derive(SseEvents)]
struct NotAnEnum;

#[derive(SseEvents)]
#[sse(rename_all = "snakecase", prefix = "x")]
enum Names {
    #[sse(rename = "")]
    Empty,
    #[sse(rename = "a\nb")]
    Break,
    #[sse(rename = "C")]
    A,
    C,
    #[sse(rename = d)]
    D,
    #[sse]
    E,
    #[sse(rename = "f")]
    #[sse(rename = "g")]
    F,
    G {
        #[sse(rename = "number")]
        count: u8,
    },
}

#[derive(SseEvents)]
#[sse(rename_all = "hyphens")]
enum Case {
    A,
}

struct Plain;

#[derive(SseEvents)]
enum Data {
    One(Plain),
    Two(u8, Plain),
    Named { count: u8, plain: Plain },
}

fn main() {}
