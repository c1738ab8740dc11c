//! The service that is measured.

use minos::prelude::*;

minos::service!("bench");

/// About 200 bytes of JSON.
#[aggregate]
pub struct Account {
    /// Whose it is.
    pub owner: String,
    /// How much there is.
    pub balance: i64,
}

/// The content of a creation.
#[model]
pub struct Open {
    /// Whose it is.
    pub owner: String,
}

/// Which account.
#[model]
pub struct AccountId {
    /// Its id.
    pub uuid: Uuid,
}

/// A text that makes an event about 200 bytes.
#[must_use]
pub fn owner() -> String {
    "o".repeat(160)
}

/// Commands.
#[derive(Debug, Default)]
pub struct Commands;

#[command_service]
impl Commands {
    /// Opens an account.
    #[enroute::rest::command("/accounts", "POST")]
    async fn open(&self, cx: &Context, request: Request<Open>) -> Result<AccountId> {
        let owner = request.into_content().owner;
        Ok(AccountId {
            uuid: Account::create(cx, Account { owner, balance: 0 })?.uuid(),
        })
    }
}
