//! Turns the value that an `#[sse]` method returns into a running stream, chosen by the shape of its type, as
//! [`helios_core::reply`] does for plain routes.

/// The return type of an `#[sse]` method.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be streamed from an `#[sse]` method",
    label = "neither a `Stream` nor an `SseStream`",
    note = "return `impl Stream<Item = SseEvent>` (write it with `stream! {{ .. }}`) or an `SseStream`, or a `Result` of one",
    note = "a method that may also answer with a response returns an `SseReply` of one of these",
    note = "an `async fn` that takes an `SseStream` argument and returns `()` or `Result<(), E>` is a producer"
)]
pub trait SseOutput {}

/// The error type of an async `#[sse]` method that is a producer.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of an `#[sse]` method",
    label = "this error cannot be reported to a client",
    note = "implement `From<{Self}> for HttpError`"
)]
pub trait ProducerError {}

/// Runs the value that a sync `#[sse]` method returned.
#[macro_export]
#[doc(hidden)]
macro_rules! __stream {
    ($call:expr, $out:expr) => {{
        use $crate::rt::ladder::*;
        let (call, out) = ($crate::__Option::Some($call), $out);
        $crate::__run_output!(call, out)
    }};
}

/// Runs the future of an async `#[sse]` method.
#[macro_export]
#[doc(hidden)]
macro_rules! __stream_async {
    ($call:expr, $out:expr) => {{
        use $crate::rt::ladder::*;
        let (mut call, out) = ($crate::__Option::Some($call), $out);
        let out = (&&&&$crate::__Shape::of(&out)).settle(out);
        let out = out.run(&mut call).await;
        $crate::__run_output!(call, out)
    }};
}

#[macro_export]
#[doc(hidden)]
macro_rules! __run_output {
    ($call:ident, $out:ident) => {
        match (&&&&$crate::__Shape::of(&$out)).open_result($out) {
            $crate::__Result::Err(reply) => $crate::rt::SseCall::replied($call, *reply).await,
            $crate::__Result::Ok(out) => match (&&$crate::__Shape::of(&out)).open_option(out) {
                $crate::__Result::Err(reply) => $crate::rt::SseCall::replied($call, *reply).await,
                $crate::__Result::Ok(out) => match (&&$crate::__Shape::of(&out)).open_reply(out) {
                    $crate::__Result::Err(reply) => {
                        $crate::rt::SseCall::replied($call, *reply).await
                    }
                    $crate::__Result::Ok(out) => {
                        let source = (&&&&$crate::__Shape::of(&out)).source(out);
                        source.run($call).await
                    }
                },
            },
        }
    };
}

/// Brings the rungs into scope without a name.
#[doc(hidden)]
#[allow(clippy::wildcard_imports)]
pub mod ladder {
    pub use helios_core::reply::ladder::*;

    pub use super::rungs::{
        OpenReply as _, OpenStream as _, SettleOther as _, SettleProducer as _, SettleRefused as _,
        SettleTryProducer as _, SourceFinished as _, SourceHandle as _, SourceOther as _,
        SourceStream as _,
    };
}

/// The rungs only choose, and keep what they know of a type in a function pointer. With a bound in an async method, the
/// compiler would report an error three times, and a missing `Send` as a method that does not exist. The chosen source
/// runs in a boxed future that is compiled here, so a route of the app contains neither its code nor the proof that it
/// is `Send`.
#[allow(missing_docs, clippy::missing_errors_doc)]
mod rungs {
    use std::future::ready;

    use futures_core::Stream;
    use helios_core::error::HttpError;
    use helios_core::item::StreamItem;
    use helios_core::reply::{Opened, Shape, from_response};

    use super::{ProducerError, SseOutput};
    use crate::future::BoxFuture;
    use crate::sse::call::{EventStream, Items, Slot};
    use crate::sse::call::{Finished, Outcome, SseCall};
    use crate::sse::{SseReply, SseStream};

    fn taken(call: Slot) -> Result<SseCall, HttpError> {
        call.ok_or_else(|| HttpError::internal("the call of this stream was taken before"))
    }

    pub trait OpenReply<S> {
        fn open_reply(&self, out: SseReply<S>) -> Opened<S>;
    }

    impl<S> OpenReply<S> for &Shape<SseReply<S>> {
        fn open_reply(&self, out: SseReply<S>) -> Opened<S> {
            match out {
                SseReply::Stream(stream) => Ok(stream),
                SseReply::Response(response) => Err(Box::new(from_response(response))),
            }
        }
    }

    pub trait OpenStream<T> {
        fn open_reply(&self, out: T) -> Opened<T>;
    }

    impl<T> OpenStream<T> for Shape<T> {
        fn open_reply(&self, out: T) -> Opened<T> {
            Ok(out)
        }
    }

    /// The return value of a producer.
    pub trait Produced: Send {
        fn reply(self) -> SseReply<()>;
    }

    impl Produced for () {
        fn reply(self) -> SseReply<()> {
            SseReply::Stream(())
        }
    }

    impl Produced for SseReply<()> {
        fn reply(self) -> Self {
            self
        }
    }

    /// A future that is itself the source of the stream.
    pub struct Producer<'a>(BoxFuture<'a, Result<SseReply<()>, HttpError>>);

    impl<'a> Producer<'a> {
        pub fn run(self, call: &mut Slot) -> BoxFuture<'a, Finished> {
            let call = taken(call.take());
            Box::pin(async { Finished(async { call?.produce(self.0).await }.await) })
        }
    }

    /// A future that returns the stream.
    pub struct Plain<F>(F);

    impl<F: Future> Plain<F> {
        pub async fn run(self, _: &mut Slot) -> F::Output {
            self.0.await
        }
    }

    pub trait SettleProducer<F> {
        fn settle<'a>(&self, future: F) -> Producer<'a>
        where
            F: Send + 'a;
    }

    impl<T: Produced, F: Future<Output = T>> SettleProducer<F> for &&&Shape<F> {
        fn settle<'a>(&self, future: F) -> Producer<'a>
        where
            F: Send + 'a,
        {
            Producer(Box::pin(async { Ok(future.await.reply()) }))
        }
    }

    pub trait SettleTryProducer<F: Future, E> {
        fn settle<'a>(&self, future: F) -> Producer<'a>
        where
            F: Send + 'a;
    }

    impl<T: Produced, E: Into<HttpError>, F: Future<Output = Result<T, E>>> SettleTryProducer<F, E>
        for &&Shape<F>
    {
        fn settle<'a>(&self, future: F) -> Producer<'a>
        where
            F: Send + 'a,
        {
            Producer(Box::pin(async {
                let produced = future.await.map_err(Into::into)?;
                Ok(produced.reply())
            }))
        }
    }

    pub trait SettleRefused<F: Future, E> {
        fn settle(&self, future: F) -> Producer<'static>
        where
            E: ProducerError;
    }

    impl<T: Produced, E, F: Future<Output = Result<T, E>>> SettleRefused<F, E> for &Shape<F> {
        fn settle(&self, _: F) -> Producer<'static>
        where
            E: ProducerError,
        {
            Producer(Box::pin(ready(Err(HttpError::internal("")))))
        }
    }

    pub trait SettleOther<F> {
        fn settle(&self, future: F) -> Plain<F>;
    }

    impl<F> SettleOther<F> for Shape<F> {
        fn settle(&self, future: F) -> Plain<F> {
            Plain(future)
        }
    }

    impl Finished {
        pub fn run(self, _: Slot) -> BoxFuture<'static, Outcome> {
            Box::pin(ready(self.0))
        }
    }

    /// A handle that the method returned.
    pub struct Handle(SseStream);

    impl Handle {
        pub fn run(self, call: Slot) -> BoxFuture<'static, Outcome> {
            Box::pin(async move { taken(call)?.attach(self.0).await })
        }
    }

    /// A stream of items that can be sent, with its type erased.
    pub struct Events<'a> {
        stream: EventStream<'a>,
        may_fail: bool,
    }

    impl<'a> Events<'a> {
        pub fn run(self, call: Slot) -> BoxFuture<'a, Outcome> {
            Box::pin(async move { taken(call)?.forward(self.stream, self.may_fail).await })
        }
    }

    pub trait SourceFinished {
        fn source(&self, out: Finished) -> Finished;
    }

    impl SourceFinished for &&&Shape<Finished> {
        fn source(&self, out: Finished) -> Finished {
            out
        }
    }

    pub trait SourceHandle {
        fn source(&self, out: SseStream) -> Handle;
    }

    impl SourceHandle for &&Shape<SseStream> {
        fn source(&self, out: SseStream) -> Handle {
            Handle(out)
        }
    }

    pub trait SourceStream<S: Stream> {
        fn source<'a>(&self, out: S) -> Events<'a>
        where
            S: Send + 'a,
            S::Item: StreamItem;
    }

    impl<S: Stream> SourceStream<S> for &Shape<S> {
        fn source<'a>(&self, stream: S) -> Events<'a>
        where
            S: Send + 'a,
            S::Item: StreamItem,
        {
            let event = S::Item::into_event;
            Events {
                stream: Box::pin(Items { stream, event }),
                may_fail: S::Item::MAY_FAIL,
            }
        }
    }

    pub trait SourceOther<T> {
        fn source(&self, out: T) -> Finished
        where
            T: SseOutput;
    }

    impl<T> SourceOther<T> for Shape<T> {
        fn source(&self, _: T) -> Finished
        where
            T: SseOutput,
        {
            Finished(Err(HttpError::internal("").into()))
        }
    }
}
