//! Against a real server on a free port, over the memory store.

mod idempotency;
mod letters;
mod requests;
mod sagas;
mod spec;
mod stop;
mod store;
mod system;
mod toy;
