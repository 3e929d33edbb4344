//! Prices until the market closes. The loop ends when its client leaves, so there is no timer to clear.

use helios::prelude::*;

#[derive(Injectable)]
pub(crate) struct Stocks;

#[controller(prefix = "stocks")]
impl Stocks {
    #[sse]
    fn subscribe(&self) -> impl Stream<Item = Result<SseEvent, HttpError>> {
        try_stream! {
            for price in ["101.50", "99.75", "104.20"] {
                sleep(Duration::from_secs(2)).await;
                let data = json!({ "symbol": "HELIOS", "price": price });
                yield SseEvent::json(data).event("price-update");
            }
            Err(HttpError::new(StatusCode::CONFLICT, "the market has closed"))?;
        }
    }
}
