//! The contract of both kinds of coordination, and the further promises of the shared one.

mod connecting;
mod losses;
mod random;
mod servers;
mod setup;
mod suite;

use concertctl::clock::Clock;
use concertctl::domain::Timestamp;
use setup::Backend;

fn now() -> Timestamp {
    Clock::default().now()
}

/// Runs each promise against each kind.
macro_rules! contract {
    ($($promise:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test]
            async fn $promise() {
                super::suite::$promise(&super::Backend::embedded()).await;
            })*
        }

        mod redis {
            $(#[tokio::test]
            async fn $promise() {
                let Some(backend) = super::Backend::redis().await else { return };
                super::suite::$promise(&backend).await;
            })*
        }

        /// A cluster takes seconds to form, so all promises share one.
        #[tokio::test]
        async fn every_promise_holds_on_a_cluster() {
            let Some(backend) = Backend::cluster().await else { return };
            $(suite::$promise(&backend).await;)*
        }
    };
}

contract!(
    places_follow_the_order_of_arrival_and_a_user_has_one,
    many_at_once_get_places_without_gap_or_repetition,
    a_user_whose_place_was_ended_gets_the_last_place,
    a_user_whose_admission_expired_gets_the_last_place,
    an_abandoned_place_is_withdrawn_and_its_number_stays_unused,
    a_raised_queue_gives_only_higher_places,
    a_place_that_the_database_gave_is_where_the_user_stands,
    a_batch_is_claimed_once_and_admits_when_it_is_published,
    a_batch_reaches_no_further_than_the_last_place,
    unclaimed_batches_are_not_made_up_for,
    no_batch_is_admitted_while_paused_or_closed_or_before_the_opening,
    a_batch_that_was_put_back_is_due_again_after_the_retry_delay,
    a_shorter_interval_and_a_new_opening_take_effect_at_once,
    a_seat_is_locked_by_one_until_it_is_released,
    a_lock_runs_out_and_its_late_holder_does_not_release_its_successors,
    a_restored_queue_has_its_earlier_state,
);
