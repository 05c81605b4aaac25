//! News of watched lists: generic in Rust, one set of types a list here.

use crate::conversation::ConversationSummary;
use crate::scalar::Count;
use crate::timeline::TimelineItem;

macro_rules! updates {
    ($(#[$doc:meta])* $update:ident, $(#[$change_doc:meta])* $change:ident, $item:ty, $core:ty) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
        pub enum $update {
            /// The list is now this.
            Reset {
                /// All lines.
                items: Vec<$item>,
            },
            /// To be applied in order.
            Changes {
                /// At least one.
                changes: Vec<$change>,
            },
        }

        impl From<chasqui::Update<$core>> for $update {
            fn from(update: chasqui::Update<$core>) -> Self {
                match update {
                    chasqui::Update::Reset(items) => {
                        Self::Reset { items: items.into_iter().map(<$item>::from).collect() }
                    }
                    chasqui::Update::Changes(changes) => {
                        Self::Changes { changes: changes.into_iter().map($change::from).collect() }
                    }
                }
            }
        }

        $(#[$change_doc])*
        #[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
        pub enum $change {
            /// Put `item` at `index`; what stood there and behind moves back.
            Insert {
                /// 0 to the length.
                index: Count,
                /// The new line.
                item: Box<$item>,
            },
            /// Replace the line at `index`.
            Update {
                /// Below the length.
                index: Count,
                /// The line as it is now.
                item: Box<$item>,
            },
            /// Take away the line at `index`; what stood behind moves up.
            Remove {
                /// Below the length.
                index: Count,
            },
        }

        impl From<chasqui::Change<$core>> for $change {
            fn from(change: chasqui::Change<$core>) -> Self {
                match change {
                    chasqui::Change::Insert { index, item } => Self::Insert { index: index.into(), item: Box::new(item.into()) },
                    chasqui::Change::Update { index, item } => Self::Update { index: index.into(), item: Box::new(item.into()) },
                    chasqui::Change::Remove { index } => Self::Remove { index: index.into() },
                }
            }
        }
    };
}

updates!(
    /// News of a watched timeline.
    TimelineUpdate,
    /// One step from a watched timeline as it was to the next.
    TimelineChange, TimelineItem, chasqui::TimelineItem
);
updates!(
    /// News of the watched conversation list.
    ConversationsUpdate,
    /// One step from the watched conversation list as it was to the next.
    ConversationsChange, ConversationSummary, chasqui::ConversationSummary
);
