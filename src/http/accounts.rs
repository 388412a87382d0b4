//! Balance and charge.

use axum::extract::State;

use super::extract::{Holder, Keyed, Path, Write};
use super::openapi::refusals;
use super::reservations::iso8601;
use super::{ApiError, AppState};
use crate::api::ticketing::{Account, ChargeRequest, Charged};
use crate::booking::{Money, UserId};

/// The balance of the token's user.
#[utoipa::path(
    get,
    path = "/accounts/{userId}",
    operation_id = "getBalance",
    tag = "accounts",
    params(
        ("userId" = i64, Path, description = "The token's user"),
        ("Wait-Token" = String, Header, description = "A WAIT or ACTIVE token"),
    ),
    responses((status = 200, description = "The balance", body = Account), refusals::GetBalance)
)]
pub(super) async fn balance(
    State(state): State<AppState>,
    Holder(caller): Holder,
    Path(user): Path<i64>,
) -> Result<axum::Json<Account>, ApiError> {
    caller.require_user(UserId(user))?;
    caller.require_not_ended()?;
    let balance = state.booking.balance(&caller, UserId(user)).await?;
    Ok(axum::Json(Account { balance: balance.0 }))
}

/// Add to the balance of the token's user.
#[utoipa::path(
    post,
    path = "/accounts/{userId}/charge",
    operation_id = "charge",
    tag = "accounts",
    params(
        ("userId" = i64, Path, description = "The token's user"),
        ("Wait-Token" = String, Header, description = "A WAIT or ACTIVE token"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat harmless"),
    ),
    request_body = ChargeRequest,
    responses((status = 200, description = "Charged", body = Charged), refusals::Charge)
)]
pub(super) async fn charge(
    State(state): State<AppState>,
    Holder(caller): Holder,
    Path(user): Path<i64>,
    write: Write,
    request: Keyed<ChargeRequest>,
) -> Result<axum::Json<Charged>, ApiError> {
    caller.require_user(UserId(user))?;
    let amount = Money(request.body.amount);
    let (user, key) = (UserId(user), request.key);
    let charge = async move { state.booking.charge(&caller, user, amount, key).await };
    let (at, balance) = write.run(charge).await?;
    Ok(axum::Json(Charged {
        timestamp: iso8601(at),
        balance: balance.0,
    }))
}
