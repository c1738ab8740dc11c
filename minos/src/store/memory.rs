//! A store in memory, for tests: nothing survives the process.
