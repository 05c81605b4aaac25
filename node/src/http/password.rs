//! Passwords and PINs: argon2id, a few at a time, never on an async thread.

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use chasqui_wire::ErrorCode;
use chasqui_wire::http::Sensitive;
use tracing::Instrument as _;

use super::gate::{Gate, Place};
use super::problem::Problem;
use crate::serve::clock;

/// Checks the length of a new password.
pub(super) fn check(password: &Sensitive) -> Result<(), Problem> {
    if (8..=1024).contains(&password.0.len()) {
        Ok(())
    } else {
        Err(Problem::invalid("a password has 8 to 1024 bytes"))
    }
}

/// PHC text (argon2id v19, OWASP's parameters).
pub(super) async fn hash(gate: &Gate, place: Place, password: Sensitive) -> Result<String, Problem> {
    let hashed = in_turn(gate, place, move || {
        let salt: [u8; 16] = clock::random();
        Argon2::default().hash_password_with_salt(password.0.as_bytes(), &salt).map(|hash| hash.to_string())
    });
    hashed.await?.map_err(|_| Problem::new(ErrorCode::Internal, "the password could not be hashed"))
}

/// Whether the password belongs to the hash. `None`, an unknown name, takes as long as a wrong password.
pub(super) async fn verify(
    gate: &Gate,
    place: Place,
    password: Sensitive,
    hash: Option<String>,
) -> Result<bool, Problem> {
    in_turn(gate, place, move || match hash {
        Some(hash) => Argon2::default().verify_password(password.0.as_bytes(), hash.as_str()).is_ok(),
        None => {
            let spent = Argon2::default().hash_password_with_salt(password.0.as_bytes(), &[0; 16]);
            drop(spent);
            false
        }
    })
    .await
}

async fn in_turn<T: Send + 'static>(
    gate: &Gate,
    place: Place,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let failed = || Problem::new(ErrorCode::Internal, "the password could not be checked");
    let turn = gate.turn(&place).await.ok_or_else(failed)?;
    // Both stay taken until the work is done, whether anybody still waits for it or not.
    let done = tokio::task::spawn_blocking(move || {
        let done = work();
        drop((turn, place));
        done
    });
    done.instrument(tracing::debug_span!("hash")).await.map_err(|_| failed())
}
