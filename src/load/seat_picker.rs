//! Chooses the seats of buyers.

use rand::RngExt as _;
use rand::rngs::SmallRng;

use super::scenario::Contention;
use crate::api::ops::Dataset;

/// The concert on sale has the seats 1 to `seats`, of which 1 to `popular` are popular.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeatPicker {
    pub seats: i64,
    pub popular: i64,
    pub seats_per_date: i64,
}

impl SeatPicker {
    /// The seats of the dataset, limited by the scenario.
    pub(super) fn new(dataset: &Dataset, contention: &Contention) -> SeatPicker {
        let id = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let on_sale = id(dataset.on_sale_seats).max(1);
        let seats = contention.seats.map_or(on_sale, id).clamp(1, on_sale);
        let popular = contention
            .popular_seats
            .map_or(id(dataset.popular_seats), id)
            .clamp(0, seats);
        SeatPicker {
            seats,
            popular,
            seats_per_date: id(dataset.seats_per_date).max(1),
        }
    }

    /// The date of a seat. Each date has `seats_per_date` consecutive seats.
    pub(super) fn date_of(&self, seat: i64) -> i64 {
        (seat - 1) / self.seats_per_date + 1
    }

    /// The wished seat of an attempt. It is popular with probability `share`.
    pub(super) fn wish(&self, share: f64, rng: &mut SmallRng) -> i64 {
        let popular = rng.random_bool(share);
        match (popular && self.popular > 0) || self.popular == self.seats {
            true => rng.random_range(1..=self.popular),
            false => rng.random_range(self.popular + 1..=self.seats),
        }
    }

    /// A free seat of the wished kind (popular or not), or of the other kind if there is none.
    pub(super) fn choose(&self, free: &[i64], wish: i64, rng: &mut SmallRng) -> Option<i64> {
        let within = |seat: &&i64| **seat >= 1 && **seat <= self.seats;
        let same = |seat: &&i64| (**seat <= self.popular) == (wish <= self.popular);
        let of_kind = free.iter().filter(within).filter(same).count();
        if of_kind > 0 {
            let at = rng.random_range(0..of_kind);
            return free.iter().filter(within).filter(same).nth(at).copied();
        }
        let any = free.iter().filter(within).count();
        if any == 0 {
            return None;
        }
        let at = rng.random_range(0..any);
        free.iter().filter(within).nth(at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng as _;

    #[test]
    fn four_of_five_wishes_go_to_the_popular_seats() {
        let seat_picker = SeatPicker {
            seats: 20_000,
            popular: 4_000,
            seats_per_date: 1_000,
        };
        let mut rng = SmallRng::seed_from_u64(1);
        let popular = (0..100_000)
            .filter(|_| seat_picker.wish(0.8, &mut rng) <= 4_000)
            .count();
        assert!((79_000..81_000).contains(&popular), "{popular}");
        assert_eq!(
            (
                seat_picker.date_of(1_000),
                seat_picker.date_of(1_001),
                seat_picker.date_of(20_000)
            ),
            (1, 2, 20)
        );
    }

    #[test]
    fn a_map_without_the_wished_kind_gives_the_other_and_an_empty_one_none() {
        let seat_picker = SeatPicker {
            seats: 10,
            popular: 2,
            seats_per_date: 10,
        };
        let mut rng = SmallRng::seed_from_u64(1);
        assert_eq!(seat_picker.choose(&[7], 1, &mut rng), Some(7));
        assert_eq!(seat_picker.choose(&[2, 7], 1, &mut rng), Some(2));
        assert_eq!(
            seat_picker.choose(&[11, 12], 1, &mut rng),
            None,
            "outside of what is wanted"
        );
        assert_eq!(seat_picker.choose(&[], 1, &mut rng), None);
    }

    proptest! {
        #[test]
        fn a_wish_is_a_seat_on_sale(seats in 1_i64..100, popular in 0_i64..100, share in 0.0..=1.0_f64, seed: u64) {
            let seat_picker = SeatPicker { seats, popular: popular.min(seats), seats_per_date: 7 };
            let wish = seat_picker.wish(share, &mut SmallRng::seed_from_u64(seed));
            prop_assert!((1..=seats).contains(&wish));
        }
    }
}
