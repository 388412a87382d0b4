//! The health routes of a ticketing API.

use http::StatusCode;

use super::http::{ClientError, HttpSource, decode, refusal};
use crate::api::ticketing::Health;

/// Asks whether the server is ready (`GET /health/ready`) or, with `live`, only whether it answers.
///
/// # Errors
/// [`ClientError`]. The answer of a server that is not ready is not an error.
pub async fn ask(source: &HttpSource, live: bool) -> Result<(bool, Health), ClientError> {
    let path = if live { "health/live" } else { "health/ready" };
    let (status, body) = source.send(source.get(path)).await?;
    match status {
        StatusCode::OK => Ok((true, decode(&body)?)),
        // The server answers 503 with the same body. Any other body comes from a proxy.
        StatusCode::SERVICE_UNAVAILABLE => match decode(&body) {
            Ok(health) => Ok((false, health)),
            Err(_) => Err(refusal(status, &body)),
        },
        status => Err(refusal(status, &body)),
    }
}
