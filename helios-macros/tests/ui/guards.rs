//! `guards![..]` with types that are not guards, and with values.
use helios::prelude::*;

struct NotAGuard;

fn main() {
    let _ = guards![NotAGuard];
    let _ = guards![NotAGuard(7)];
    let _ = guards![signed_in];
}

async fn signed_in(_: &mut RequestContext) -> Result<(), HttpError> {
    Ok(())
}
