//! The query parameters of a paged list, by ascending id.

use serde::Deserialize;
use utoipa::IntoParams;

use super::ApiError;
use crate::api::{ErrorCode, integer};

/// The largest page, in entries.
const LIMIT_MAX: u32 = 1_000;
const LIMIT_DEFAULT: u32 = 100;

/// The page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// The most entries, 1 to 1,000; 100 by default.
    #[param(minimum = 1, maximum = 1000)]
    #[serde(default, deserialize_with = "integer::optional_text")]
    limit: Option<u32>,
    /// Only entries with ids above this one.
    #[serde(default, deserialize_with = "integer::optional_text")]
    after: Option<i64>,
}

impl Page {
    /// The id after which the page begins, and the largest number of its entries.
    ///
    /// # Errors
    /// [`ErrorCode::RequestMalformed`] when the limit is out of bounds.
    pub(super) fn bounds(&self) -> Result<(i64, u32), ApiError> {
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            let detail = format!("limit is {limit}; it must be between 1 and {LIMIT_MAX}");
            return Err(ApiError::new(ErrorCode::RequestMalformed, detail));
        }
        Ok((self.after.unwrap_or(0), limit))
    }
}
