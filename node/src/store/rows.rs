//! Row numbers, with a type each so that the compiler catches swaps. They never leave the node.

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

macro_rules! row {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) struct $name(pub(crate) i64);

        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                self.0.to_sql()
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                value.as_i64().map(Self)
            }
        }
    )*};
}

row! {
    /// A row of `user`.
    UserRow
    /// A row of `device`.
    DeviceRow
    /// A row of `conversation`.
    ConversationRow
    /// A row of `envelope`.
    EnvelopeRow
}

impl EnvelopeRow {
    /// The envelope that a mailbox entry without a notice stands for.
    pub(crate) fn of_entry(entry: u64) -> Self {
        Self(entry.cast_signed())
    }

    /// The number of its entries, the same in every mailbox.
    pub(crate) fn entry(self) -> u64 {
        self.0.cast_unsigned()
    }
}
