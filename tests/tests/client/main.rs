//! The SDK as an app uses it: real clients over real WebSockets against the real node.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod conversation;
mod copies;
mod damage;
mod deletion;
mod encrypted;
mod enrolment;
mod enrolment_by_code;
mod enrolment_by_token;
mod export;
mod flaky;
mod full_disk;
#[path = "../../../node/tests/app/mod.rs"]
mod gateway;
mod identity;
mod lifecycle;
mod linking;
mod observers;
mod peek;
mod refusals;
mod requests;
#[path = "../stage/mod.rs"]
mod stage;
mod timeline;
mod typing;
mod vault;
