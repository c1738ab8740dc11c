//! Expansions as tokens.
