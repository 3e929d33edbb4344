//! The options that `#[sse(..)]` takes beside its path. A new option is a new row of [`KEYS`].
//!
//! # To add one
//!
//! 1. Add a row to [`KEYS`].
//! 2. Add its field to `StreamTable` and `StreamOptions` in `helios-http/src/sse/options/stream.rs`, with its default, its conflicts with
//!    other options, and how the table of routes shows it.
//! 3. Add a field to `SseOptions` if the server has a default of its own.
//! 4. Add its line to `helios-macros/src/docs/sse.md` and to the table in `src/guide/streams.md`.

use syn::{Lit, LitStr};

use super::model::{Setting, StreamOptions, Verb};
use crate::args::{Arg, Args, Key};
use crate::diagnostics::Errors;
use crate::duration;

pub(super) const SSE: &str = "sse";

/// The values of an option, as they are written, and the runtime's variants.
type Choices = [(&'static str, &'static str); 2];

const DRAIN: Choices = [("finish", "Finish"), ("reconnect", "Reconnect")];
const ON_ERROR: Choices = [("event", "Event"), ("break_off", "BreakOff")];

/// The status that reports an overload by an event.
const OK: u16 = 200;

struct SseArgs {
    verb: Verb,
    options: StreamOptions,
}

const KEYS: [Key<SseArgs>; 10] = [
    ("method", |sse, arg, errors| {
        if let Some(method) = arg.string("method = \"POST\"", errors) {
            sse.verb = method_named(&method, errors).unwrap_or(Verb::Any);
        }
    }),
    ("events", |sse, arg, errors| {
        sse.options.events = arg.path("events = ChatEvent", errors);
    }),
    ("restart", |sse, arg, errors| {
        sse.set("restart", Some(Setting::Flag(arg.flag(errors))));
    }),
    ("plain", |sse, arg, errors| {
        sse.set("plain", arg.switch(errors).map(Setting::Flag));
    }),
    ("drain", |sse, arg, errors| {
        sse.set("drain", choice("Drain", &DRAIN, arg, errors));
    }),
    ("head_after", |sse, arg, errors| {
        let millis = duration::parse(arg, "head_after = \"500ms\"", errors);
        sse.set("head_after", millis.map(Setting::Millis));
    }),
    ("retry", |sse, arg, errors| {
        let millis = duration::parse(arg, "retry = \"3s\"", errors);
        sse.set("retry", millis.map(Setting::Millis));
    }),
    ("keep_alive", |sse, arg, errors| {
        let millis = duration::or_off(arg, errors);
        sse.set("keep_alive", millis.map(Setting::Millis));
    }),
    ("overload", |sse, arg, errors| {
        sse.set("overload", overload(arg, errors).map(Setting::Status));
    }),
    ("on_error", |sse, arg, errors| {
        sse.set("on_error", choice("OnError", &ON_ERROR, arg, errors));
    }),
];

impl SseArgs {
    fn set(&mut self, field: &'static str, setting: Option<Setting>) {
        let settings = &mut self.options.settings;
        settings.extend(setting.map(|setting| (field, setting)));
    }
}

/// Reads the arguments beside the path: the method, and the options.
pub(super) fn parse(args: Args, errors: &mut Errors) -> (Verb, StreamOptions) {
    let mut sse = SseArgs {
        verb: Verb::Get,
        options: StreamOptions::default(),
    };
    args.set(&mut sse, SSE, &KEYS, errors);
    (sse.verb, sse.options)
}

fn choice(ty: &'static str, choices: &Choices, arg: &Arg, errors: &mut Errors) -> Option<Setting> {
    let [(first, _), (second, _)] = choices;
    let text = arg.string(&format!("{} = \"{first}\"", arg.name()), errors)?;
    let chosen = choices.iter().find(|(name, _)| *name == text.value());
    if chosen.is_none() {
        let message = format!("`{}` is `\"{first}\"` or `\"{second}\"`", arg.name());
        errors.at(&text, message);
    }
    chosen.map(|(_, variant)| Setting::Choice(ty, variant))
}

/// Reads `overload = "event"`, or a status.
fn overload(arg: &Arg, errors: &mut Errors) -> Option<u16> {
    let status = match arg.literal() {
        Some(Lit::Str(text)) => (text.value() == "event").then_some(OK),
        Some(Lit::Int(status)) => {
            let status = status.base10_parse().ok();
            status.filter(|status| (400..600).contains(status))
        }
        _ => None,
    };
    if status.is_none() {
        errors.at(
            arg,
            "an overload is reported by an event or a status: `overload = \"event\"` or `overload = 503`",
        );
    }
    status
}

/// Returns the method of this name, unless its responses have no body.
fn method_named(text: &LitStr, errors: &mut Errors) -> Option<Verb> {
    let streaming = Verb::ALL.into_iter().filter(|verb| *verb != Verb::Head);
    let written = text.value();
    let found = streaming.clone().find(|verb| verb.method() == written);
    if found.is_none() {
        let problem = match written == Verb::Head.method() {
            true => "a response to HEAD has no body, so no stream",
            false => "unknown method",
        };
        let methods: Vec<String> = streaming.map(Verb::method).collect();
        let methods = methods.join("`, `");
        errors.at(text, format_args!("{problem}: write one of `{methods}`"));
    }
    found
}
