//! The suite that every store passes.
//!
//! ```
//! use std::sync::Arc;
//! use minos::store::{self, Store, conformance::Fixture};
//!
//! struct InMemory;
//!
//! #[async_trait::async_trait]
//! impl Fixture for InMemory {
//!     async fn store(&self) -> Arc<dyn Store> {
//!         Arc::new(store::memory::Store::new())
//!     }
//!
//!     async fn reopen(&self) -> Option<Arc<dyn Store>> {
//!         None // nothing survives
//!     }
//! }
//!
//! minos::store::conformance::suite!(in_memory, InMemory);
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a property panics when it does not hold"
)]

mod claims;
mod find;
mod guards;
mod letters;
mod log;
mod messages;
mod repeat;
mod sagas;
mod toy;

use std::sync::Arc;

use async_trait::async_trait;

use super::Store;

pub use self::{
    claims::*, find::*, guards::*, letters::*, log::*, messages::*, repeat::*, sagas::*,
};

/// Where a property gets its store; one fixture serves one property.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// A new, empty store.
    async fn store(&self) -> Arc<dyn Store>;

    /// Opens what the store wrote again, after it was closed; [`None`] where nothing survives.
    async fn reopen(&self) -> Option<Arc<dyn Store>>;
}

/// The names of all properties.
pub const PROPERTIES: &[&str] = crate::__store_properties!(names);

/// Names every property once, for the list and for the tests.
#[macro_export]
#[doc(hidden)]
macro_rules! __store_properties {
    ($($then:tt)*) => {
        $crate::__store_suite! {
            @$($then)*;
            a_created_aggregate_can_be_loaded
            guard_too_low_conflicts
            guard_too_high_conflicts
            right_version_with_wrong_tail_conflicts
            creating_twice_conflicts
            changing_what_does_not_exist_conflicts
            read_guards_are_checked
            several_aggregates_are_all_or_nothing
            deleted_has_no_state_and_versions_go_on
            concurrent_increments_lose_nothing
            a_unit_fails_alone_among_many
            malformed_units_are_refused
            an_identical_unit_is_accepted_once
            an_identical_unit_is_known_after_others_moved_on
            an_identical_unit_without_events_is_accepted_once
            identical_units_at_once_are_one
            claims_are_unique
            claims_are_given_up_and_move
            claims_raced_by_many_have_one_winner
            claims_may_be_swapped_in_one_unit
            inbox_answers_with_the_recorded_outcome
            marks_keep_the_order_of_a_stream
            outbox_keeps_its_order_and_is_trimmed
            cursors_move_by_compare_and_set
            timers_fire_once
            due_rows_come_in_order
            dead_letters_are_parked_and_taken_back
            dead_letters_keep_all_that_is_known_of_them
            dead_letters_are_listed_by_filter_and_page
            the_first_of_a_parked_key_has_the_lowest_version
            the_inbox_forgets_what_is_old_for_one_consumer
            sagas_that_ended_long_ago_are_forgotten
            saga_versions_fence
            what_is_looked_up_at_once_is_each_its_own
            a_unit_moves_several_sagas_or_none
            sagas_are_listed_with_their_history
            the_log_has_one_order_under_many_writers
            streams_are_read_in_pages
            payloads_survive_byte_by_byte
            times_keep_microseconds
            changes_are_announced
            reopening_keeps_everything
            views_are_written_and_removed
            find_agrees_with_the_reference
            find_orders_and_pages
            find_sees_only_the_living
        }
    };
}

/// Writes one `#[tokio::test]` for each property of the suite.
///
/// `suite!(name, fixture)` makes a module `name`; `fixture` is an expression that makes a new [`Fixture`] for each
/// property.
#[macro_export]
#[doc(hidden)]
macro_rules! __store_suite {
    (@names; $($property:ident)*) => {
        &[$(stringify!($property)),*]
    };
    (@tests $name:ident, $fixture:expr; $($property:ident)*) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            $(
                #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $property() {
                    let fixture = $fixture;
                    $crate::store::conformance::$property(&fixture).await;
                }
            )*
        }
    };
    ($name:ident, $fixture:expr) => {
        $crate::__store_properties! { tests $name, $fixture }
    };
}

pub use crate::__store_suite as suite;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory;

    struct Memory;

    #[async_trait]
    impl Fixture for Memory {
        async fn store(&self) -> Arc<dyn Store> {
            Arc::new(memory::Store::new())
        }

        async fn reopen(&self) -> Option<Arc<dyn Store>> {
            None
        }
    }

    suite!(memory_store, Memory);
}
