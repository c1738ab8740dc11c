//! A broker in memory, for tests: nothing survives the process.
