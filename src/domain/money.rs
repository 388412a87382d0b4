//! Amounts of money. All arithmetic is checked: an overflow is an error, never a wrapped balance.

use serde::{Deserialize, Serialize};

/// An amount in the currency's smallest unit (won).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Money(pub i64);

/// The reason why an amount was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// A charge must add something.
    #[error("the amount must be positive")]
    NotPositive,
    /// One charge has an upper limit.
    #[error("the amount is above the limit of {} for one charge", Money::MAX_CHARGE.0)]
    AboveLimit,
    /// The balance would exceed what an account can hold.
    #[error("the balance would exceed {}", Money::MAX_BALANCE.0)]
    Overflow,
}

impl Money {
    /// The most that one charge may add.
    pub const MAX_CHARGE: Money = Money(100_000_000);
    /// The most that an account may hold.
    pub const MAX_BALANCE: Money = Money(1_000_000_000_000);

    /// The balance after charging `amount`.
    ///
    /// # Errors
    /// The amount is not positive, is above [`Money::MAX_CHARGE`], or would raise the balance above
    /// [`Money::MAX_BALANCE`].
    pub fn charged(self, amount: Money) -> Result<Money, MoneyError> {
        if amount.0 <= 0 {
            return Err(MoneyError::NotPositive);
        }
        if amount > Self::MAX_CHARGE {
            return Err(MoneyError::AboveLimit);
        }
        match self.0.checked_add(amount.0) {
            Some(sum) if sum <= Self::MAX_BALANCE.0 => Ok(Money(sum)),
            _ => Err(MoneyError::Overflow),
        }
    }

    /// The balance after paying `price`, or `None` when the balance is below `price`.
    #[must_use]
    pub fn paid(self, price: Money) -> Option<Money> {
        self.0
            .checked_sub(price.0)
            .filter(|rest| *rest >= 0)
            .map(Money)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_charge_outside_its_bounds_is_refused_with_its_reason() {
        assert_eq!(Money(0).charged(Money(0)), Err(MoneyError::NotPositive));
        assert_eq!(
            Money(0).charged(Money(i64::MIN)),
            Err(MoneyError::NotPositive)
        );
        assert_eq!(
            Money(0).charged(Money(i64::MAX)),
            Err(MoneyError::AboveLimit)
        );
        assert_eq!(
            Money::MAX_BALANCE.charged(Money(1)),
            Err(MoneyError::Overflow)
        );
        assert_eq!(Money(1).charged(Money::MAX_CHARGE), Ok(Money(100_000_001)));
    }

    proptest! {
        #[test]
        fn charging_then_paying_conserves_money(balance in 0..Money::MAX_BALANCE.0, amount: i64, price in 0..i64::MAX) {
            if let Ok(charged) = Money(balance).charged(Money(amount)) {
                prop_assert_eq!(charged.0 - balance, amount);
                if let Some(rest) = charged.paid(Money(price)) {
                    prop_assert_eq!(rest.0 + price, charged.0);
                    prop_assert!(rest.0 >= 0);
                }
            }
        }
    }
}
