//! End to end: real services, real files, real processes.

mod child;
mod compared;
mod crash;
mod faults;
mod flight;
mod hot;
mod instances;
mod load;
mod proxy;
mod servers;
mod stack;
mod stop;
mod table;
mod units;
mod wiring;
