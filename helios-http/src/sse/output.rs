//! From what an `#[sse]` method returns to a running stream, chosen by the shape of its type, as
//! [`helios_core::reply`] does for plain routes.

/// What an `#[sse]` method may return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be streamed from an `#[sse]` method",
    label = "neither a `Stream` nor an `SseStream`",
    note = "return `impl Stream<Item = SseEvent>` (write it with `stream! {{ .. }}`) or an `SseStream`, or a `Result` of one",
    note = "an `async fn` that takes an `SseStream` argument and returns `()` or `Result<(), E>` is a producer"
)]
pub trait SseOutput {}

/// Runs what a sync `#[sse]` method returned.
#[macro_export]
#[doc(hidden)]
macro_rules! __stream {
    ($call:expr, $out:expr) => {{
        use $crate::sse::ladder::*;
        let (call, out) = ($crate::__Option::Some($call), $out);
        $crate::__run_output!(call, out)
    }};
}

/// Runs the future of an async `#[sse]` method.
#[macro_export]
#[doc(hidden)]
macro_rules! __stream_async {
    ($call:expr, $out:expr) => {{
        use $crate::sse::ladder::*;
        let (mut call, out) = ($crate::__Option::Some($call), $out);
        let out = (&&&$crate::__Shape::of(&out)).settle(&mut call, out).await;
        $crate::__run_output!(call, out)
    }};
}

#[macro_export]
#[doc(hidden)]
macro_rules! __run_output {
    ($call:ident, $out:ident) => {
        match (&&&&$crate::__Shape::of(&$out)).open_result($out) {
            Err(reply) => $crate::sse::SseCall::replied(*reply),
            Ok(out) => match (&&$crate::__Shape::of(&out)).open_option(out) {
                Err(reply) => $crate::sse::SseCall::replied(*reply),
                Ok(out) => (&&&&$crate::__Shape::of(&out)).run($call, out).await,
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
        RunFinished as _, RunHandle as _, RunOther as _, RunStream as _, SettleOther as _,
        SettleProducer as _, SettleTryProducer as _,
    };
}

#[allow(missing_docs, clippy::missing_errors_doc)]
mod rungs {
    use futures_core::Stream;
    use helios_core::error::HttpError;
    use helios_core::item::StreamItem;
    use helios_core::reply::Shape;

    use super::SseOutput;
    use crate::sse::{Finished, Outcome, SseCall, SseStream};

    type Slot = Option<SseCall>;

    fn taken(call: Slot) -> Result<SseCall, HttpError> {
        call.ok_or_else(|| HttpError::internal("the call of this stream was taken before"))
    }

    pub trait SettleProducer<F> {
        fn settle(&self, call: &mut Slot, out: F) -> impl Future<Output = Finished> + Send;
    }

    impl<F: Future<Output = ()> + Send> SettleProducer<F> for &&Shape<F> {
        fn settle(&self, call: &mut Slot, out: F) -> impl Future<Output = Finished> + Send {
            let call = call.take();
            async move {
                let producer = async move {
                    out.await;
                    Ok::<(), HttpError>(())
                };
                Finished(produce(call, producer).await)
            }
        }
    }

    pub trait SettleTryProducer<F, E> {
        fn settle(&self, call: &mut Slot, out: F) -> impl Future<Output = Finished> + Send
        where
            E: Into<HttpError>;
    }

    impl<E, F> SettleTryProducer<F, E> for &Shape<F>
    where
        F: Future<Output = Result<(), E>> + Send,
        E: Send,
    {
        fn settle(&self, call: &mut Slot, out: F) -> impl Future<Output = Finished> + Send
        where
            E: Into<HttpError>,
        {
            let call = call.take();
            async move { Finished(produce(call, out).await) }
        }
    }

    async fn produce<E: Into<HttpError>>(
        call: Slot,
        producer: impl Future<Output = Result<(), E>> + Send,
    ) -> Outcome {
        taken(call)?.produce(producer).await
    }

    pub trait SettleOther<F: Future> {
        fn settle(&self, call: &mut Slot, out: F) -> impl Future<Output = F::Output> + Send;
    }

    impl<F: Future + Send> SettleOther<F> for Shape<F> {
        fn settle(&self, _: &mut Slot, out: F) -> impl Future<Output = F::Output> + Send {
            out
        }
    }

    pub trait RunFinished {
        fn run(&self, call: Slot, out: Finished) -> impl Future<Output = Outcome> + Send;
    }

    impl RunFinished for &&&Shape<Finished> {
        fn run(&self, _: Slot, out: Finished) -> impl Future<Output = Outcome> + Send {
            std::future::ready(out.0)
        }
    }

    pub trait RunHandle {
        fn run(&self, call: Slot, out: SseStream) -> impl Future<Output = Outcome> + Send;
    }

    impl RunHandle for &&Shape<SseStream> {
        async fn run(&self, call: Slot, out: SseStream) -> Outcome {
            taken(call)?.attach(out).await
        }
    }

    pub trait RunStream<S: Stream> {
        fn run(&self, call: Slot, out: S) -> impl Future<Output = Outcome> + Send
        where
            S::Item: StreamItem;
    }

    impl<S: Stream + Send> RunStream<S> for &Shape<S> {
        async fn run(&self, call: Slot, out: S) -> Outcome
        where
            S::Item: StreamItem,
        {
            taken(call)?.forward(out).await
        }
    }

    pub trait RunOther<T> {
        fn run(&self, call: Slot, out: T) -> impl Future<Output = Outcome> + Send
        where
            T: SseOutput;
    }

    impl<T: Send> RunOther<T> for Shape<T> {
        async fn run(&self, _: Slot, _: T) -> Outcome
        where
            T: SseOutput,
        {
            Err(HttpError::internal("").into())
        }
    }
}
